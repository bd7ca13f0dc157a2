"""A split checked by buckets of users: what `SplitInMemory` says of it, from counts that are added.

First what is learned from is counted by item; with the items that anybody has, each bucket then counts
its held-out rows, and looks for leaks among its own users.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray, Int32Array, Int64Array
from recsys.core.artefacts import read_json
from recsys.core.config import RunConfig, SplitConfig, Task
from recsys.core.distinct import distinct
from recsys.core.edge_rows import EdgeRows
from recsys.core.ids import UNKNOWN
from recsys.core.interactions import SEEN_OTHERWISE, dense_of, hold_out
from recsys.core.steps import Call, Facts, Outcome, Steps
from recsys.core.table_files import read_parquet, scan_parquet
from recsys.core.tables import BEHAVIOR, ITEM, USER, Drops
from recsys.evaluate.deciding import VALIDATION_USERS
from recsys.logs.audit import (
    Finding,
    Slips,
    audit_fitted,
    audit_relations,
    count_slips,
    findings_of,
    findings_of_phase,
    num_rows,
)
from recsys.logs.ingest import CodedLog
from recsys.logs.split import TABLES, Phase, Splits
from recsys.logs.split_buckets import split_by_buckets
from recsys.logs.split_comparison import (
    HeldOutCounts,
    Learned,
    Measure,
    Part,
    count_held_out,
    count_learned,
    measures_of,
)
from recsys.logs.user_ranges import UserRange, ranges_of, rows_of
from recsys.phases.data import PhaseData, PhaseName
from recsys.phases.split_check import asked

_PHASES: tuple[Phase, ...] = ("select", "final")
_KNOWN = "known-{phase}.npy"
_BY_ITEM = "{phase}-items.npy"
_WARM_ROWS = "{phase}-warm-rows.npy"
_USERS = "{phase}-users.npy"
_FITTED = "{phase}-fitted.npy"


class _Asked(NamedTuple):
    """What a bucket is asked; its repr decides the result with the files.

    users: of the bucket.
    document: of the split.
    target, task, seen_behaviors: of the run.
    num_items: of the log.
    """

    users: UserRange
    document: dict[str, Any]
    target: str
    task: Task
    seen_behaviors: tuple[str, ...]
    num_items: int


@dataclass(frozen=True)
class SplitByBuckets:
    """A split whose tables lie in `folder`, made of the log in `log_folder` by a method of `logs.split`.

    scratch: empty folder for the tables of other splits (`under`).
    """

    log: CodedLog
    log_folder: Path
    folder: Path
    config: RunConfig
    relations: Sequence[EdgeRows]
    steps: Steps
    scratch: Path

    @cached_property
    def document(self) -> dict[str, Any]:
        """With the rows that the tables have, whatever was written about them."""
        rows = {}
        for name in TABLES:
            table = scan_parquet(self.folder / f"{name}.parquet")
            rows[name] = table.select(pl.len()).collect().item()
        return {**read_json(self.folder / "split.json"), "rows": rows}

    @property
    def target(self) -> str:
        return self._names.target

    @cached_property
    def findings(self) -> list[Finding]:
        slips = Slips()
        for outcome in self._held_out:
            slips.update(outcome.facts["slips"])
        findings = findings_of(slips, self.document, num_rows(self.log), self.target)
        for phase in _PHASES:
            findings += self._of_phase(phase)
        test = read_parquet(self.folder / "test.parquet") if self.relations else pl.DataFrame()
        return findings + audit_relations(self.relations, test, self._until)

    @cached_property
    def measures(self) -> list[Measure]:
        if not self.document["rows"]["validation"]:
            return []
        validation, test = (Part(self._learned[phase], self._counts(phase)) for phase in _PHASES)
        has_others = BEHAVIOR in self.log.rows.collect_schema().names()
        return measures_of(validation, test, has_others, self.config.evaluate.task, self.log)

    @cached_property
    def dropped(self) -> Drops:
        return reduce(add, (Drops(outcome.facts["dropped"]) for outcome in self._held_out))

    def warm_users(self, phase: PhaseName) -> int:
        users: int = sum(outcome.facts["warm_users"][phase] for outcome in self._held_out)
        return min(users, VALIDATION_USERS) if phase == "select" else users

    def under(self, split: SplitConfig, task: Task) -> "SplitByBuckets":
        name = f"other-{split.method}-{task}"
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        steps = self.steps.below(name)
        config = asked(self.config, split, task)
        split_by_buckets(
            self.log_folder, self.log, split, self.target, config.seed, task, steps, folder
        )
        return replace(self, folder=folder, config=config, steps=steps)

    @cached_property
    def _names(self) -> PhaseData:
        """A phase without rows: what follows from the names of behaviours alone."""
        nothing = self.log.rows.head(0).collect()
        splits = Splits(nothing, nothing, nothing, nothing, Drops(), {}, True, "")
        return PhaseData("final", self.log, splits, self.config)

    @cached_property
    def _asked(self) -> list[_Asked]:
        ranges = ranges_of(sorted((self.log_folder / "rows").iterdir()), len(self.log.users))
        data, task = self._names, self.config.evaluate.task
        return [
            _Asked(
                users, self.document, data.target, task, data.seen_behaviors, len(self.log.items)
            )
            for users in ranges
        ]

    @cached_property
    def _tables(self) -> list[Any]:
        return [self.steps.take(self.folder / f"{name}.parquet") for name in TABLES]

    @cached_property
    def _learned(self) -> dict[PhaseName, Learned]:
        """By phase, what is learned from, by item."""
        inputs = [self._tables] * len(self._asked)
        outcomes = self.steps.run("learned", count_bucket, self._asked, inputs)
        by_phase: dict[PhaseName, Learned] = {}
        for phase in _PHASES:
            learned = []
            for outcome in outcomes:
                [file] = outcome.named(_BY_ITEM.format(phase=phase))
                rows, target_rows, first = np.load(self.steps.whole(file))
                start, end = outcome.facts["times"][phase]
                learned.append(Learned(rows, target_rows, first, (start, end)))
            by_phase[phase] = reduce(add, learned)
        return by_phase

    @cached_property
    def _held_out(self) -> list[Outcome]:
        """What each bucket says, knowing the items that anybody has."""
        inputs = list(self._tables)
        for phase in _PHASES:
            known = self._learned[phase].rows > 0
            save = partial(np.save, arr=known)
            inputs.append(self.steps.write(_KNOWN.format(phase=phase), save))
        return self.steps.run("held-out", check_bucket, self._asked, [inputs] * len(self._asked))

    def _counts(self, phase: PhaseName) -> HeldOutCounts:
        counts = []
        for outcome in self._held_out:
            arrays = []
            for name in (_WARM_ROWS, _USERS):
                [file] = outcome.named(name.format(phase=phase))
                arrays.append(np.load(self.steps.whole(file)))
            warm_rows, (users, warm_users) = arrays
            numbers = outcome.facts["counts"][phase]
            counts.append(
                HeldOutCounts(**numbers, warm_rows=warm_rows, users=users, warm_users=warm_users)
            )
        return reduce(add, counts)

    def _of_phase(self, phase: PhaseName) -> list[Finding]:
        """Ids and popularity that were fitted over buckets, against those that the rows give."""
        unknown: Counter[str] = Counter()
        fitted = 0
        for outcome in self._held_out:
            unknown.update(outcome.facts["fitted"][phase])
            [file] = outcome.named(_FITTED.format(phase=phase))
            fitted = fitted + np.load(self.steps.whole(file))
        rows = self._learned[phase].rows
        num_fitted = int(np.sum(fitted))
        counts = rows[rows > 0]
        findings = findings_of_phase(
            {USER: unknown[USER], ITEM: int(np.sum(fitted == 0))}, num_fitted, int(rows.sum())
        )
        return findings + audit_fitted(
            {"popularity": np.asarray(fitted, float)}, {"popularity": counts.astype(float)}
        )

    @property
    def _until(self) -> int | None:
        return max(self._learned["final"].times[1], 0) if self.log.has_clock else None


def count_bucket(call: Call) -> Facts:
    """The step that counts what is learned from some users, by item."""
    splits = _splits(call)
    times = {}
    for phase in _PHASES:
        learned = count_learned(splits.rows(phase), call.arguments.target, call.arguments.num_items)
        by_item = np.stack([learned.rows, learned.target_rows, learned.first])
        np.save(call.out / _BY_ITEM.format(phase=phase), by_item)
        times[phase] = learned.times
    return {"times": times}


def check_bucket(call: Call) -> Facts:
    """The step that counts held-out rows of some users, and what the audit looks for among them."""
    bucket = call.arguments
    splits = _splits(call)
    facts: Facts = {
        "slips": dict(count_slips(splits, bucket.target)),
        "counts": {},
        "fitted": {},
        "warm_users": {},
    }
    for phase, held_out in zip(_PHASES, (splits.validation, splits.test), strict=True):
        learned = splits.rows(phase)
        [known] = [np.load(path) for path in call.read(_KNOWN.format(phase=phase))]
        counts = count_held_out(held_out, learned, known, bucket.target, bucket.task)
        _write_counts(call.out, phase, counts)
        facts["counts"][phase] = {
            name: getattr(counts, name) for name in ("rows", "cold", "warm", "met", "later")
        }
        codes = _Codes(distinct(learned[USER].to_numpy()), np.flatnonzero(known).astype(np.int32))
        facts["fitted"][phase] = _fit(call.out, phase, learned, codes)
        facts["warm_users"][phase], dropped = _warm(held_out, learned, codes, bucket)
        facts["dropped"] = dict(dropped)  # those of "final" stay
    return facts


class _Codes(NamedTuple):
    """The codes of the users of a bucket and of the items of a phase, by internal id."""

    user_codes: Int32Array
    item_codes: Int32Array


def _splits(call: Call) -> Splits:
    """The rows of the users of a bucket."""
    document = call.arguments.document
    train, validation, test, after_train = (
        rows_of(file.path, call.arguments.users) for file in call.inputs[: len(TABLES)]
    )
    return Splits(
        train=train,
        validation=validation,
        test=test,
        after_train=after_train,
        drops=Drops(),
        cuts=document["cuts"],
        time_safe=document["time_safe"],
        method=document["method"],
    )


def _write_counts(out: Path, phase: str, counts: HeldOutCounts) -> None:
    np.save(out / _WARM_ROWS.format(phase=phase), counts.warm_rows)
    warm_users: Int64Array = np.zeros_like(counts.users)
    warm_users[: len(counts.warm_users)] = counts.warm_users
    np.save(out / _USERS.format(phase=phase), np.stack([counts.users, warm_users]))


def _fit(out: Path, phase: str, learned: pl.DataFrame, codes: _Codes) -> dict[str, int]:
    """Write the popularity by internal id; returns how many ids of the users occur in no row."""
    items = dense_of(learned[ITEM].to_numpy(), codes.item_codes)
    is_known: BoolArray = items != UNKNOWN
    popularity = np.bincount(items[is_known], minlength=len(codes.item_codes))
    np.save(out / _FITTED.format(phase=phase), popularity)
    present = learned[USER].unique().to_numpy()
    absent = np.setdiff1d(codes.user_codes, present, assume_unique=True)
    return {USER: len(absent)}


def _warm(
    held_out: pl.DataFrame, learned: pl.DataFrame, codes: _Codes, bucket: _Asked
) -> tuple[int, Drops]:
    """How many users have a held-out pair that counts, and the rows that do not (`Judge.held_out`)."""
    held_out_pairs = hold_out(held_out, codes)
    users = codes.user_codes[held_out_pairs.user]
    items = codes.item_codes[held_out_pairs.item]
    pairs = pl.DataFrame({USER: users, ITEM: items})
    dropped = held_out_pairs.dropped
    if bucket.task == "new":
        seen = learned
        if BEHAVIOR in seen.columns:
            seen = seen.filter(pl.col(BEHAVIOR).is_in(bucket.seen_behaviors))
        fresh = pairs.join(seen, on=[USER, ITEM], how="anti")
        dropped = dropped + Drops({SEEN_OTHERWISE: len(pairs) - len(fresh)})
        pairs = fresh
    return pairs[USER].n_unique(), dropped
