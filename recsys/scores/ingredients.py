"""What blends of scores are made from, and the weights that make one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from recsys.closed_form.item_item import item_item_tables
from recsys.closed_form.low_pass import low_pass
from recsys.core.arrays import Float32Array
from recsys.core.progress import QUIET, Progress
from recsys.graph.baskets import baskets
from recsys.phases.phase import Phase
from recsys.scores.trained_vectors import VectorScaling

RIDGES = (15.0, 50.0, 5.0, 150.0)
RANKS = (512, 256, 128, 64)
MET_POWERS = (1.0, 0.5, 0.25)


class Blend(BaseModel):
    """How a score is put together.

    recent, own, length, popularity: what is made of the vectors (`VectorScaling`). table, low_pass: weights
    of their scores once all spread alike over the items; 0 leaves one out. ridge: see
    `item_item_tables`. rank: of the low-pass, at most. half_life: see `HistoryScores`. met: by
    behaviour, what an item gains on the mean that its user met under it, in standard deviations of
    the vectors' scores over the items; met_power: what one item gains goes with this power of its
    `conversion`. heard: what an item that was met counts in a history; above 0, what users met
    speaks in the table too. trend: weight of `trending`, as of the table; trend_days: its
    half-life. side: weight of `graph.baskets` in the table's regression, as against that of the
    users' pairs. fresh_days: half-life of the `freshness` by which what the table adds to an item
    is multiplied, None where it is not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recent: float | None = None
    own: float = 1.0
    length: float = 0.0
    popularity: float = 0.0
    table: float = 0.2
    ridge: float = RIDGES[0]
    half_life: float | None = None
    low_pass: float = 0.0
    rank: int = RANKS[0]
    met: tuple[tuple[str, float], ...] = ()
    met_power: float = MET_POWERS[0]
    heard: float = 0.0
    side: float = 0.0
    trend: float = 0.0
    trend_days: float = 0.0
    fresh_days: float | None = None

    @property
    def scaling(self) -> VectorScaling:
        return VectorScaling(self.recent, self.own, self.length, self.popularity)

    @property
    def empty(self) -> bool:
        """Whether nothing is added to the inner products of the vectors."""
        return not (self.table or self.low_pass or self.met or self.trend)

    def weights(self) -> dict[str, float]:
        """Of everything that may be added or stretched, in words."""
        met = {f"met by {behavior}": weight for behavior, weight in self.met}
        rare = {name: getattr(self, name) for name in ("heard", "side", "length", "popularity")}
        rare |= {f"trend of {self.trend_days:g} days": self.trend}
        more = {name: weight for name, weight in rare.items() if weight}
        fresh = "" if self.fresh_days is None else f", freshness of {self.fresh_days:g} days"
        return {f"item–item table{fresh}": self.table, "low-pass": self.low_pass, **met, **more}

    def meeting(self, behavior: str, weight: float) -> tuple[tuple[str, float], ...]:
        """`met` with another weight for one behaviour; 0 leaves it out."""
        return tuple(
            (name, value) for name, value in {**dict(self.met), behavior: weight}.items() if value
        )


NO_BLEND = Blend(table=0.0)


@dataclass(frozen=True)
class Ingredients:
    """What blends are made from; it depends on the rows of a phase alone.

    tables: None for none. into, back: low-pass. met: by behaviour that may count, (users, items)
    0/1.
    """

    tables: "Tables | None"
    into: Float32Array
    back: Float32Array
    met: dict[str, sparse.csr_matrix]


class Tables:
    """Item–item tables of a phase, each made when a blend first asks for it.

    taken: (users, items) 0/1 under the target. met: the same under any behaviour that may count.
    side: rows of items that belong together.
    """

    def __init__(
        self, phase: Phase, met: Sequence[str], ridges: Sequence[float], progress: Progress
    ) -> None:
        self.phase, log = phase, phase.interactions
        self.taken, self.met = (
            log.matrix((phase.target,)),
            log.matrix((phase.target, *met)) if met else None,
        )
        self.ridges, self.neighbours, self.progress = (
            tuple(ridges),
            phase.config.blend.neighbours,
            progress,
        )
        self._made = lru_cache(None)(self._make)

    @cached_property
    def side(self) -> sparse.csr_matrix | None:
        """Made when a blend first asks for it: it takes a graph."""
        if not (self.phase.config.graph.attributes or self.phase.relations):
            return None
        found = baskets(self.phase.graph)
        return found if found.nnz else None

    def of(self, blend: Blend) -> sparse.csr_matrix:
        """(items, items) the table of a blend."""
        ridges = (blend.ridge,) if blend.side else self.ridges
        return self._made(bool(blend.heard), blend.side, ridges)[blend.ridge]

    def _make(
        self, heard: bool, side: float, ridges: tuple[float, ...]
    ) -> dict[float, sparse.csr_matrix]:
        matrix, target = (
            (self.met, self.taken) if heard and self.met is not None else (self.taken, None)
        )
        if side and self.side is not None:
            rows = self.side * np.float32(
                np.sqrt(side * self.taken.nnz / (self.side.data**2).sum())
            )
            matrix, target = (
                sparse.vstack([one, rows], format="csr") for one in (matrix, self.taken)
            )
        return dict(
            zip(
                ridges,
                item_item_tables(matrix, self.neighbours, ridges, self.progress, target),
                strict=True,
            )
        )


def ingredients(
    phase: Phase, blend: Blend | None = None, progress: Progress = QUIET
) -> Ingredients:
    """What every blend of the grid needs, or what `blend` does."""
    config, log, behaviors = phase.config.blend, phase.interactions, met_behaviors(phase)
    ridges = RIDGES if blend is None else [blend.ridge] if blend.table else []
    rank = max(RANKS) if blend is None else blend.rank if blend.low_pass else 0
    factors = low_pass(
        log.matrix((phase.target,)), min(rank, config.low_pass_rank), phase.config.seed
    )
    tables = Tables(phase, behaviors, ridges, progress) if config.neighbours and ridges else None
    return Ingredients(tables, *factors, {name: log.matrix((name,)) for name in behaviors})


def met_behaviors(phase: Phase) -> list[str]:
    """Behaviours beside the target that count in favour of something.

    Those are in the log and in the graph, of a weight above 0, and not negative.
    """
    config, log = phase.config, phase.interactions
    if not config.blend.auxiliary_behaviors:
        return []
    weights, out = config.graph.behavior_weights, {phase.target, *config.graph.negative_behaviors}
    wanted = [name for name in log.behaviors if name not in out and weights.get(name, 1.0)]
    if phase.given_graph is not None:
        # A graph without some behaviour stands for a log without it.
        relations = {relation for _, relation, _ in phase.given_graph.relations}
        wanted = [name for name in wanted if name in relations]
    return [name for name in wanted if log.of(name).any()]
