"""The baselines by name: their grids, how they are fitted, what they will cost, and why one cannot
run here.

Those in closed form are functions of `recsys.closed_form`; trained ones are packages beside this
module.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from recsys.baselines.choice import Choice, Params, Value
from recsys.baselines.sasrec.cost import sasrec_cost
from recsys.closed_form.costs import (
    Forecast,
    ease_cost,
    gfcf_cost,
    ials_cost,
    itemknn_cost,
    popularity_cost,
    slim_cost,
)
from recsys.closed_form.ease import fit_ease
from recsys.closed_form.gfcf import fit_gfcf
from recsys.closed_form.ials import fit_ials, missing
from recsys.closed_form.itemknn import fit_itemknn
from recsys.closed_form.popularity import fit_popularity, fit_recent_popularity
from recsys.closed_form.slim import fit_slim
from recsys.core.errors import UsageError, nearest
from recsys.core.interactions import Interactions
from recsys.core.ladder import MOST_STEPS, Ladder
from recsys.core.ranking import Scorer

Sweep = Callable[[Interactions, str, Sequence[Params], int], Iterator[Scorer]]
"""(train, target, settings, seed) → a scorer for each setting."""
Search = Callable[[Interactions, str, Sequence[Params], Value, int], Choice]
"""(train, target, settings, value on validation, seed) → the best."""


@dataclass(frozen=True)
class Baseline:
    """One comparison model.

    name: in `evaluate.baselines`.
    title: in reports.
    grid: settings to choose from on validation, the usual one first.
    sweep: fits several settings in turn, sharing the work they have in common.
    forecast: (users, items, interactions) → cost of one fit and one ranking of every user.
    needs_times: whether it reads moments.
    needs_order: whether it reads what came after what.
    available: why it cannot run on this machine, or None.
    search: chooses in a way of its own, by early stopping for example; None fits each of the grid.
    ladders: by the name of a setting, how the choice goes on where the best of the grid has its
        first or last value.
    """

    name: str
    title: str
    grid: Sequence[Params]
    sweep: Sweep
    forecast: Callable[[int, int, int], Forecast]
    needs_times: bool = False
    needs_order: bool = False
    available: Callable[[], str | None] = lambda: None
    search: Search | None = None
    ladders: Mapping[str, Ladder] = field(default_factory=dict)

    def fit(self, interactions: Interactions, target: str, params: Params, seed: int = 0) -> Scorer:
        """One setting fitted on the target behaviour of a phase, each pair counted once."""
        return next(iter(self.sweep(interactions, target, [params], seed)))

    def with_fewer_settings(self, most: int | None) -> "Baseline":
        """The same with at most so many settings to choose from, and none past their ends; None
        leaves them all.
        """
        return self if most is None else replace(self, grid=self.grid[:most], ladders={})

    @property
    def num_fits(self) -> int:
        """How often it is fitted to choose a setting, with a step past an end of each ladder."""
        if len(self.grid) == 1:
            return 1
        return len(self.grid) + len(self.ladders)


def choose(
    baseline: Baseline, train: Interactions, target: str, value: Value, seed: int = 0
) -> Choice:
    """The setting whose scorer has the largest value; the earlier one among equals.

    Where that is at an end of the grid, the choice goes on past it as long as that gains. Holds two
    scorers at a time.

    Args:
        baseline: whose grid is tried.
        train: the rows to learn from.
        target: the behaviour to predict.
        value: judges a scorer on validation.
        seed: of everything drawn.
    """
    if baseline.search is not None:
        return baseline.search(train, target, baseline.grid, value, seed)
    best: Choice | None = None
    tried: list[tuple[Params, float]] = []
    scorers = baseline.sweep(train, target, baseline.grid, seed)
    for params, scorer in zip(baseline.grid, scorers, strict=True):
        fitted = Choice(params, value(scorer), tried, scorer)
        tried.append((params, fitted.value))
        if best is None or fitted.value > best.value:
            best = fitted
    assert best is not None, "a grid has a setting"
    for name in baseline.ladders:
        best = _climb(baseline, name, train, target, value, seed, best)
    return best


def _climb(
    baseline: Baseline,
    name: str,
    train: Interactions,
    target: str,
    value: Value,
    seed: int,
    best: Choice,
) -> Choice:
    """The best choice after steps past the end of the ladder of one setting, while they gain.

    Args: as of `choose`.
        name: of the setting.
        best: so far; its `tried` is added to.
    """
    for _ in range(MOST_STEPS):
        further = baseline.ladders[name].beyond(best.params[name])
        if further is None:
            break
        params = {**best.params, name: further}
        scorer = baseline.fit(train, target, params, seed)
        fitted = Choice(params, value(scorer), best.tried, scorer)
        best.tried.append((params, fitted.value))
        if fitted.value <= best.value:
            break
        best = fitted
    return best


def tuning_cost(baseline: Baseline, train: Interactions) -> Forecast:
    """What choosing a setting will take."""
    forecast = baseline.forecast(train.num_users, train.num_items, len(train))
    return forecast._replace(seconds=forecast.seconds * baseline.num_fits)


def skip_reason(
    baseline: Baseline, train: Interactions, minutes: float, memory_bytes: int
) -> str | None:
    """Why `baseline` must be left out of a run on `train`, in words for its row of the report; None
    when it fits.
    """
    reason = baseline.available() or _lacking(baseline, train)
    if reason:
        return reason
    cost = tuning_cost(baseline, train)
    if cost.seconds > minutes * 60:
        return (
            f"forecast to take {cost.seconds / 60:.0f} min, over the limit of {minutes:g} min "
            "that evaluate.baseline_minutes sets"
        )
    if cost.bytes > memory_bytes:
        return (
            f"forecast to need {cost.bytes / 1e9:.1f} GB of memory, over the "
            f"{memory_bytes / 1e9:.1f} GB that a run on this machine plans with"
        )
    return None


def _lacking(baseline: Baseline, train: Interactions) -> str | None:
    """What `baseline` reads and the log does not have."""
    if not (baseline.needs_times or baseline.needs_order):
        return None
    if train.time is None:
        return "the log has no times"
    if baseline.needs_times and train.moments is None:
        return train.no_moments
    if baseline.needs_order and (train.time == train.time[:1]).all():
        return "all rows are of one moment, which is no order"
    return None


def baseline(name: str) -> Baseline:
    """The baseline of that name. Raises UsageError naming close ones."""
    if name not in BASELINES:
        raise UsageError(
            f"unknown baseline {name!r}",
            nearest(name, BASELINES) or f"Known: {', '.join(BASELINES)}",
        )
    return BASELINES[name]


def _popularity(
    train: Interactions, target: str, grid: Sequence[Params], seed: int
) -> Iterator[Scorer]:
    for _ in grid:
        yield fit_popularity(train, target)


def _recent(
    train: Interactions, target: str, grid: Sequence[Params], seed: int
) -> Iterator[Scorer]:
    for params in grid:
        yield fit_recent_popularity(train, target, params["share"])


def _itemknn(
    train: Interactions, target: str, grid: Sequence[Params], seed: int
) -> Iterator[Scorer]:
    for params in grid:
        yield fit_itemknn(train, target, **params)


def _slim(train: Interactions, target: str, grid: Sequence[Params], seed: int) -> Iterator[Scorer]:
    settings = [(params["neighbours"], params["ridge"]) for params in grid]
    yield from fit_slim(train, target, settings)


def _ease(train: Interactions, target: str, grid: Sequence[Params], seed: int) -> Iterator[Scorer]:
    regularisations = [params["regularisation"] for params in grid]
    yield from fit_ease(train, target, regularisations)


def _gfcf(train: Interactions, target: str, grid: Sequence[Params], seed: int) -> Iterator[Scorer]:
    settings = [(params["rank"], params["weight"]) for params in grid]
    yield from fit_gfcf(train, target, settings, seed)


def _ials(train: Interactions, target: str, grid: Sequence[Params], seed: int) -> Iterator[Scorer]:
    for params in grid:
        yield fit_ials(train, target, **params, seed=seed)


def _sasrec(
    train: Interactions, target: str, grid: Sequence[Params], seed: int
) -> Iterator[Scorer]:
    from recsys.baselines.sasrec.training import fit_sasrec  # only who asks for it loads torch

    for params in grid:
        yield fit_sasrec(train, target, **params, seed=seed)


def _choose_sasrec(
    train: Interactions, target: str, grid: Sequence[Params], value: Value, seed: int
) -> Choice:
    from recsys.baselines.sasrec.tuning import choose_sasrec

    return choose_sasrec(train, target, grid, value, seed)


_ALL = (
    Baseline("popularity", "Popularity, all time", [{}], _popularity, popularity_cost),
    Baseline(
        "popularity_recent",
        "Popularity, recent",
        [{"share": 0.1}, {"share": 0.02}, {"share": 0.3}],
        _recent,
        popularity_cost,
        needs_times=True,
        ladders={"share": Ladder((0.02, 0.1, 0.3), lowest=0.002, highest=0.9)},
    ),
    Baseline(
        "itemknn",
        "ItemKNN",
        [
            {"neighbours": 100, "shrinkage": 5.0, "damping": 1.0},
            {"neighbours": 20, "shrinkage": 5.0, "damping": 1.0},
            {"neighbours": 300, "shrinkage": 10.0, "damping": 1.0},
            {"neighbours": 100, "shrinkage": 20.0, "damping": 0.5},
            {"neighbours": 100, "shrinkage": 50.0, "damping": 0.0},
        ],
        _itemknn,
        itemknn_cost,
        ladders={
            "neighbours": Ladder((20, 100, 300), lowest=5, highest=1000),
            "shrinkage": Ladder((5.0, 10.0, 20.0, 50.0), lowest=0.5, highest=1000.0),
        },
    ),
    Baseline(
        "slim",
        "SLIM",
        [
            {"neighbours": 100, "ridge": 50.0},
            {"neighbours": 100, "ridge": 15.0},
            {"neighbours": 100, "ridge": 150.0},
            {"neighbours": 100, "ridge": 500.0},
            {"neighbours": 20, "ridge": 15.0},
            {"neighbours": 20, "ridge": 500.0},
        ],
        _slim,
        slim_cost,
        ladders={"ridge": Ladder((15.0, 50.0, 150.0, 500.0), lowest=0.5, highest=20_000.0)},
    ),
    Baseline(
        "ease",
        "EASE",
        [
            {"regularisation": 200.0},
            {"regularisation": 50.0},
            {"regularisation": 500.0},
            {"regularisation": 1000.0},
        ],
        _ease,
        ease_cost,
        ladders={
            "regularisation": Ladder((50.0, 200.0, 500.0, 1000.0), lowest=1.0, highest=100_000.0)
        },
    ),
    Baseline(
        "gfcf",
        "GF-CF",
        [
            {"rank": 256, "weight": 0.3},
            {"rank": 256, "weight": 0.0},
            {"rank": 256, "weight": 1.0},
            {"rank": 64, "weight": 0.3},
            {"rank": 64, "weight": 1.0},
        ],
        _gfcf,
        gfcf_cost,
        ladders={"weight": Ladder((0.3, 1.0), lowest=0.03, highest=100.0)},
    ),
    Baseline(
        "ials",
        "iALS (implicit)",
        [
            {"width": 64, "confidence": 40.0, "regularisation": 20.0, "iterations": 15},
            {"width": 64, "confidence": 10.0, "regularisation": 10.0, "iterations": 15},
            {"width": 64, "confidence": 100.0, "regularisation": 200.0, "iterations": 15},
            {"width": 128, "confidence": 40.0, "regularisation": 20.0, "iterations": 15},
        ],
        _ials,
        ials_cost,
        available=missing,
    ),
    Baseline(
        "sasrec",
        "SASRec",
        [
            {"blocks": 1, "dropout": 0.4, "epochs": 40},
            {"blocks": 1, "dropout": 0.2, "epochs": 40},
            {"blocks": 2, "dropout": 0.4, "epochs": 40},
            {"blocks": 2, "dropout": 0.2, "epochs": 40},
        ],
        _sasrec,
        sasrec_cost,
        needs_order=True,
        search=_choose_sasrec,
    ),
)
BASELINES: dict[str, Baseline] = {model.name: model for model in _ALL}
