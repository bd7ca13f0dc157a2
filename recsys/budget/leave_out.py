"""What a run leaves out to keep a budget: named parts, in a fixed order, by counts alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from recsys.baselines.catalogue import BASELINES, baseline
from recsys.budget.counts import Counts
from recsys.core.config import RunConfig
from recsys.core.errors import ConfigError
from recsys.train.batches import with_epochs
from recsys.train.probe import Settings

FEW_DRAWS = 1_000
FEWEST_EPOCHS = 2
_FEW_ROWS = 5
"""An item with fewer, on average, teaches little and costs as much as another."""
_TWIN, _TWIN_PART = "lightgcn", "twin without attention"
_CHEAP = ("popularity", "popularity_recent")


@dataclass(frozen=True)
class LeftOut:
    """One part that a run does without.

    part: its name.
    loss: what the run cannot say or do without it.
    """

    part: str
    loss: str


@dataclass(frozen=True)
class Budgeted:
    """A configuration that keeps a budget.

    config: without what was left out.
    left_out: in the order in which it went.
    """

    config: RunConfig
    left_out: tuple[LeftOut, ...]


Seconds = Callable[[RunConfig], float]
"""Forecast of a configuration, in processor seconds at the nominal speed."""
_Step = tuple[LeftOut, RunConfig]


def within_budget(config: RunConfig, counts: Counts, seconds: Seconds) -> Budgeted:
    """Leave out a dear twin, and one part after the other until the forecast keeps
    `budget_minutes`.

    Args:
        config: as asked for.
        counts: of the log.
        seconds: forecasts a configuration.

    Raises:
        ConfigError: not even the least run fits.
    """
    left_out: list[LeftOut] = []
    if _is_twin_dear(config, seconds):
        loss = "the model is not compared with itself without attention; evaluate.twin_minutes asks for it"
        left_out.append(LeftOut(_TWIN_PART, loss))
        config = _without_baseline(config, _TWIN)
    if config.budget_minutes is None:
        return Budgeted(config, tuple(left_out))
    limit = 60 * config.budget_minutes
    for find_steps in _PARTS:
        # Steps of one part build on one another; each next part on the last step before it.
        for step, smaller in find_steps(config, counts, limit, seconds):
            if seconds(config) <= limit:
                return Budgeted(config, tuple(left_out))
            config = smaller
            left_out.append(step)
    least = seconds(config)
    if least > limit:
        raise ConfigError(
            f"budget_minutes = {config.budget_minutes:g}: without everything that can be left out, "
            f"the run is forecast to take {least / 60:.1f} minutes",
            f"Set budget_minutes = {_whole_minutes(least)}, or give a shorter log ({_shorter(counts)})",
        )
    return Budgeted(config, tuple(left_out))


def _shorter(counts: Counts) -> str:
    """The key that shortens the log where that helps most."""
    if counts.rows < _FEW_ROWS * counts.items:
        return f"clean.min_item_interactions = {_FEW_ROWS}"
    return "clean.start"


def _is_twin_dear(config: RunConfig, seconds: Seconds) -> bool:
    """Whether the twin is forecast to take longer than `evaluate.twin_minutes`."""
    if _TWIN not in config.evaluate.baselines:
        return False
    twin_seconds = seconds(config) - seconds(_without_baseline(config, _TWIN))
    return twin_seconds > 60 * config.evaluate.twin_minutes


def _whole_minutes(seconds: float) -> int:
    """Enough minutes."""
    return int(seconds // 60) + 1


def _ablation(config: RunConfig, counts: Counts, limit: float, seconds: Seconds) -> Iterator[_Step]:
    if config.evaluate.ablate_relations:
        loss = "what each relation is worth is not measured"
        yield LeftOut("ablation", loss), _with_evaluate(config, ablate_relations=False)


def _twin(config: RunConfig, counts: Counts, limit: float, seconds: Seconds) -> Iterator[_Step]:
    if _TWIN in config.evaluate.baselines:
        loss = "the model is not compared with itself without attention"
        yield LeftOut(_TWIN_PART, loss), _without_baseline(config, _TWIN)


def _dear_baselines(
    config: RunConfig, counts: Counts, limit: float, seconds: Seconds
) -> Iterator[_Step]:
    names = [name for name in config.evaluate.baselines if name in BASELINES]
    dear = [name for name in names if name not in _CHEAP]
    by_cost = sorted(dear, key=lambda name: -_fit_seconds(name, counts))
    for name in by_cost:
        config = _without_baseline(config, name)
        title = baseline(name).title
        yield LeftOut(f"baseline {title}", f"the model is not compared with {title}"), config


def _draws(config: RunConfig, counts: Counts, limit: float, seconds: Seconds) -> Iterator[_Step]:
    if config.evaluate.bootstrap > FEW_DRAWS:
        loss = (
            f"intervals come from {FEW_DRAWS:,} draws, and vary by some hundredths of their width"
        )
        yield LeftOut("bootstrap draws", loss), _with_evaluate(config, bootstrap=FEW_DRAWS)


def _grids(config: RunConfig, counts: Counts, limit: float, seconds: Seconds) -> Iterator[_Step]:
    names = [name for name in config.evaluate.baselines if name in BASELINES]
    has_grids = any(len(baseline(name).grid) > 1 for name in names)
    if has_grids and config.evaluate.baseline_settings != 1:
        loss = "baselines keep their usual setting"
        yield LeftOut("tuning of baselines", loss), _with_evaluate(config, baseline_settings=1)


def _refit(config: RunConfig, counts: Counts, limit: float, seconds: Seconds) -> Iterator[_Step]:
    if config.refit:
        loss = "what is served has not learned from the test rows"
        yield LeftOut("refit", loss), config.model_copy(update={"refit": False})


def _blend_terms(
    config: RunConfig, counts: Counts, limit: float, seconds: Seconds
) -> Iterator[_Step]:
    blend = config.blend
    if blend.neighbours or blend.low_pass_rank:
        loss = "no item–item scores and no low-pass beside the vectors"
        fewer = blend.model_copy(update={"neighbours": 0, "low_pass_rank": 0})
        yield LeftOut("item–item scores", loss), config.model_copy(update={"blend": fewer})


def _probe(config: RunConfig, counts: Counts, limit: float, seconds: Seconds) -> Iterator[_Step]:
    settled = Settings.of(config.train).applied(config.train)
    if settled != config.train:
        loss = "temperature, top_k and horizon keep their usual values"
        yield LeftOut("probe", loss), config.model_copy(update={"train": settled})


def _epochs(config: RunConfig, counts: Counts, limit: float, seconds: Seconds) -> Iterator[_Step]:
    epochs = with_epochs(config.train, counts.pairs).most_epochs
    if epochs <= FEWEST_EPOCHS:
        return
    fewer = _with_epochs(config, FEWEST_EPOCHS)
    for count in range(epochs - 1, FEWEST_EPOCHS, -1):
        candidate = _with_epochs(config, count)
        if seconds(candidate) <= limit:
            fewer = candidate
            break
    loss = f"training ends after {fewer.train.epochs} of {epochs} epochs"
    yield LeftOut("epochs", loss), fewer


def _training(config: RunConfig, counts: Counts, limit: float, seconds: Seconds) -> Iterator[_Step]:
    if config.train.epochs != 0:
        loss = "vectors stay as they start: a factorisation in closed form"
        yield LeftOut("training", loss), _with_epochs(config, 0)


_PARTS = (
    _ablation,
    _twin,
    _dear_baselines,
    _draws,
    _grids,
    _refit,
    _blend_terms,
    _probe,
    _epochs,
    _training,
)


def _fit_seconds(name: str, counts: Counts) -> float:
    """Of one fit of a baseline."""
    return baseline(name).forecast(counts.users, counts.items, counts.pairs).seconds


def _with_evaluate(config: RunConfig, **values: object) -> RunConfig:
    evaluate = config.evaluate.model_copy(update=values)
    return config.model_copy(update={"evaluate": evaluate})


def _without_baseline(config: RunConfig, name: str) -> RunConfig:
    baselines = config.evaluate.baselines
    others = [baseline_name for baseline_name in baselines if baseline_name != name]
    return _with_evaluate(config, baselines=others)


def _with_epochs(config: RunConfig, epochs: int) -> RunConfig:
    train = config.train.model_copy(update={"epochs": epochs})
    return config.model_copy(update={"train": train})
