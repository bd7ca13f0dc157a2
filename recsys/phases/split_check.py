"""What is found out about a split before anything is trained on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from recsys.core.config import RunConfig, SplitConfig, Task
from recsys.core.edge_rows import EdgeRows
from recsys.core.tables import Drops
from recsys.logs.audit import (
    Finding,
    audit_fitted,
    audit_phase,
    audit_relations,
    audit_splits,
    item_popularity,
)
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits, split_log
from recsys.logs.split_comparison import Measure, compare
from recsys.phases.data import PhaseData, PhaseName
from recsys.phases.phase import Phase


class SplitCheck(Protocol):
    """What can be asked of a split; each answer is made when it is first asked for."""

    @property
    def log(self) -> CodedLog: ...

    @property
    def config(self) -> RunConfig:
        """Of the run, with the split and the task that are checked."""
        ...

    @property
    def document(self) -> dict[str, Any]:
        """Of the split (`Splits.document`)."""
        ...

    @property
    def target(self) -> str: ...

    @property
    def findings(self) -> list[Finding]:
        """What the audit finds in the split and in both of its phases."""
        ...

    @property
    def measures(self) -> list[Measure]:
        """How validation and test compare."""
        ...

    @property
    def dropped(self) -> Drops:
        """Test rows that no figure counts, by reason."""
        ...

    def warm_users(self, phase: PhaseName) -> int:
        """Users that "select" chooses on, or that "final" is tested on."""
        ...

    def under(self, split: SplitConfig, task: Task) -> "SplitCheck":
        """Of another split of the same log. Raises DataError where it cannot be made."""
        ...


@dataclass(frozen=True)
class SplitInMemory:
    """A split whose tables are here."""

    log: CodedLog
    splits: Splits
    config: RunConfig
    relations: Sequence[EdgeRows] = ()

    @property
    def document(self) -> dict[str, Any]:
        return self.splits.document()

    @property
    def target(self) -> str:
        return self._final.target

    @property
    def findings(self) -> list[Finding]:
        return [
            *audit_splits(self.splits, self.log, self.target),
            *_of_phase(self._select),
            *_of_phase(self._final),
            *audit_relations(self.relations, self.splits.test, self._final.until),
        ]

    @cached_property
    def measures(self) -> list[Measure]:
        return compare(self.splits, self.target, self.config.evaluate.task, self.log)

    @property
    def dropped(self) -> Drops:
        return self._final.judge.held_out.dropped

    def warm_users(self, phase: PhaseName) -> int:
        data = self._select if phase == "select" else self._final
        return len(data.judge.held_out_users)

    def under(self, split: SplitConfig, task: Task) -> "SplitInMemory":
        config = asked(self.config, split, task)
        splits = split_log(self.log, split, self.target, config.seed, task)
        return replace(self, splits=splits, config=config)

    @cached_property
    def _select(self) -> Phase:
        return Phase("select", self.log, self.splits, self.config, self.relations)

    @cached_property
    def _final(self) -> Phase:
        return Phase("final", self.log, self.splits, self.config, self.relations)


def asked(config: RunConfig, split: SplitConfig, task: Task) -> RunConfig:
    """A run with another split."""
    evaluate = config.evaluate.model_copy(update={"task": task})
    return config.model_copy(update={"split": split, "evaluate": evaluate})


def _of_phase(data: PhaseData) -> list[Finding]:
    """Id maps and popularity of a phase against those that its own rows give."""
    interactions = data.interactions
    counts = np.bincount(interactions.item, minlength=interactions.num_items)
    fitted = {"popularity": counts.astype(float)}
    recomputed = {"popularity": item_popularity(data.rows, interactions.item_codes)}
    return audit_phase(interactions, data.rows) + audit_fitted(fitted, recomputed)
