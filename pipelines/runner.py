"""Runs a plan: a list of stages with a barrier after each. What is unchanged is skipped; what died
is run again.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.fingerprint import Mark, content_or_none, mark_of
from pipelines.manifest import Entry, Manifest
from pipelines.memory import PeakMemory
from pipelines.watch import StageWatch
from recsys.core.artefacts import RunFolder, atomic_folder, content_sha256, size_bytes
from recsys.core.config import RunConfig
from recsys.core.errors import UsageError
from recsys.core.machine import processor_seconds
from recsys.core.progress import QUIET, Progress
from recsys.core.runners import LocalRunner, Runner
from recsys.core.step_files import SharedFolder, StepFiles
from recsys.core.steps import Steps
from recsys.core.tables import Drops

_MARK_LETTERS = 12
"""Of a fingerprint, in the name of a folder."""


@dataclass(frozen=True)
class Facts:
    """What a stage says about its work; kept in the manifest and shown to people.

    output: only from a stage that names its own output (a content-addressed bundle), relative to
    the run folder.
    """

    rows_in: int | None = None
    rows_out: int | None = None
    drops: Drops = field(default_factory=Drops)
    figures: dict[str, Any] = field(default_factory=dict)
    output: str | None = None


@dataclass(frozen=True)
class Where:
    """Where the steps of a stage run, for stages that go by buckets of users.

    runner: runs the calls.
    buckets: how many; by size when None.
    lasts: whether what a step leaves outlives this process, so that a run that was killed goes on
        behind it.
    storage: where that lies.
    """

    runner: Runner = field(default_factory=LocalRunner)
    buckets: int | None = None
    lasts: bool = False
    storage: StepFiles = field(default_factory=SharedFolder)


HERE = Where()
"""In this process, one call after another."""


@dataclass(frozen=True)
class Work:
    """All that a stage function may use: parameters, input files, one bucket, and the folder to
    fill.

    out: empty folder that takes its place when the function returns. resume: folder for this very
    fingerprint that outlives a killed process; what is found in it may be gone on with.
    """

    config: RunConfig
    folder: RunFolder
    bucket: str
    out: Path
    resume: Path
    progress: Progress
    where: Where = HERE

    @property
    def steps(self) -> Steps | None:
        """Steps that last, on the runner that was asked for; None when all is done here."""
        if not self.where.lasts:
            return None
        storage = self.where.storage
        folder = Path(self.resume.name) if storage.copies else self.resume / "steps"
        return Steps(folder, self.where.runner, self.progress, lasts=True, storage=storage)

    def read(self, output: str) -> Path:
        """Path of an output of an earlier stage."""
        return self.folder.path / output


@dataclass(frozen=True)
class Stage:
    """One step of a plan: a pure, deterministic function over each of its buckets.

    output: folder relative to the run folder, "{bucket}" filled in; None when the function names it
    (Facts.output). inputs: outputs of earlier stages, "{bucket}" filled in. config: dotted keys of
    RunConfig that decide the result. files: what it reads from outside the run folder.
    """

    name: str
    function: Callable[[Work], Facts]
    output: str | None
    inputs: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Cost:
    """What one stage took over one bucket. Fields: as those of `Entry`."""

    seconds: float
    processor_seconds: float
    peak_memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class Settled:
    """How a run goes on once its first stages have counted the log.

    plan: all stages, those that are done too.
    config: that the later stages read.
    seconds: forecast of each stage by its name with the bucket, in processor seconds.
    """

    plan: Sequence[Stage]
    config: RunConfig
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Settle:
    """What decides how a run goes on.

    after: the last stage that is run in any case.
    decide: called when it is done.
    """

    after: str
    decide: Callable[[], Settled]


def run_plan(
    plan: Sequence[Stage],
    config: RunConfig,
    folder: RunFolder,
    progress: Progress = QUIET,
    fresh: bool = False,
    since: str | None = None,
    until: str | None = None,
    settle: Settle | None = None,
    where: Where = HERE,
) -> Manifest:
    """Run the stages in order while holding the folder's lock.

    Args:
        plan: all stages.
        config: of the run.
        folder: of the run.
        progress: told of every stage.
        fresh: run every stage again.
        since: first stage to look at; what lies before is taken as it is.
        until: last stage to look at.
        settle: decides, after one of the stages, how the run goes on; as planned when None.
        where: the steps of stages run.

    Returns:
        The manifest.

    Raises:
        UsageError: another process holds the folder, or the run has no such stage. Also what a
            stage raises.
    """
    first, end = _stretch(plan, since, until)
    with folder.locked():
        _require_earlier(plan[:first], folder)
        manifest = Manifest.open(folder, config, keep=not fresh)
        settled = Settled(plan, config)
        prepared = 0
        if settle is not None:
            prepared = _position(plan, settle.after) + 1
            _run_stages(plan, first, min(prepared, end), settled, manifest, progress, where)
            if end > prepared:
                settled = settle.decide()
                manifest.config = settled.config
                first, end = _stretch(settled.plan, since, until)
        _run_stages(settled.plan, max(first, prepared), end, settled, manifest, progress, where)
        is_whole = first == 0 and end == len(settled.plan)
        manifest.finish(whole=is_whole, to_the_end=until is None)
    return manifest


def _stretch(plan: Sequence[Stage], since: str | None, until: str | None) -> tuple[int, int]:
    """Positions of the first stage to look at, and of the first behind the last."""
    first = _position(plan, since) if since else 0
    end = _position(plan, until) + 1 if until else len(plan)
    return first, end


def _position(plan: Sequence[Stage], name: str) -> int:
    """Of a stage. Raises UsageError when the plan has none of that name."""
    names = [stage.name for stage in plan]
    if name not in names:
        raise UsageError(
            f"this run has no stage {name!r}: its budget left it out",
            "Raise budget_minutes, or leave it out",
        )
    return names.index(name)


def _run_stages(
    plan: Sequence[Stage],
    first: int,
    end: int,
    settled: Settled,
    manifest: Manifest,
    progress: Progress,
    where: Where,
) -> None:
    """Run the stages from position `first` to the one before `end`."""
    for position in range(first, end):
        stage = plan[position]
        label = f"[{position + 1}/{len(plan)}]"
        for bucket in stage.buckets:
            _run_stage(stage, manifest, progress, label, settled.seconds, where, bucket)


def _require_earlier(stages: Sequence[Stage], folder: RunFolder) -> None:
    """Raises UsageError when what is taken as it is does not lie there."""
    for stage in stages:
        for bucket in stage.buckets:
            output = (stage.output or "").format(bucket=bucket)
            if not (folder.path / output).exists():
                raise UsageError(
                    f"{folder.path} lacks {output}, which {stage.name} leaves",
                    "Finish it with recsys run",
                )


def _run_stage(
    stage: Stage,
    manifest: Manifest,
    progress: Progress,
    label: str,
    forecast_seconds: Mapping[str, float],
    where: Where,
    bucket: str,
) -> None:
    """One stage over one bucket, unless it is unchanged.

    Args:
        stage: to run.
        manifest: of the run.
        progress: told of the stage.
        label: shown before its name.
        forecast_seconds: by name of a stage, where it was forecast.
        where: its steps run.
        bucket: that the stage works on.
    """
    name = f"{stage.name}[{bucket}]" if bucket else stage.name
    mark, certain = _mark(stage, bucket, manifest)
    if certain and manifest.unchanged(name, mark.sha256):
        progress.say(f"{label} {name}: unchanged, skipped", stage=name, skipped=True)
        return
    reason = manifest.changed_since(name, mark.config, mark.inputs, mark.sources)
    progress.say(f"{label} {name} ({reason})", stage=name, skipped=False, reason=reason)
    started, processor_before = time.perf_counter(), processor_seconds()
    watch = StageWatch(manifest.folder, progress, label, name, forecast_seconds)
    resume = _resume_folder(manifest.folder, name, mark)
    if not certain:
        _clear(resume, where)
    work = partial(
        Work,
        config=manifest.config,
        folder=manifest.folder,
        bucket=bucket,
        resume=resume,
        progress=progress,
        where=where,
    )
    with PeakMemory() as peak, watch:
        facts, output = _execute(stage, work)
    _clear(resume, where)
    cost = Cost(
        seconds=round(time.perf_counter() - started, 3),
        processor_seconds=round(processor_seconds() - processor_before, 3),
        peak_memory_bytes=peak.bytes,
        disk_bytes=size_bytes(manifest.folder.path / output),
    )
    manifest.record(name, _entry(mark, facts, output, manifest, cost))
    progress.say(f"{label} {name}: {cost.seconds:.1f} s", stage=name, **asdict(cost))


def _mark(stage: Stage, bucket: str, manifest: Manifest) -> tuple[Mark, bool]:
    """The fingerprint, and whether it is certain.

    A cloud file's contents are unknown before it is read.
    """
    inputs = {}
    for output in stage.inputs:
        path = output.format(bucket=bucket)
        inputs[path] = manifest.content(path)
    is_certain = True
    for path in stage.files:
        sha256 = content_or_none(path)
        is_certain &= sha256 is not None
        inputs[path] = sha256 or "unknown"
    config = manifest.config.model_dump(mode="json")
    module = stage.function.__module__
    return mark_of(module, stage.config, config, inputs, bucket), is_certain


def _execute(stage: Stage, work: "partial[Work]") -> tuple[Facts, str]:
    """Run the function with a folder that becomes the stage's output when it returns.

    Returns what the function says, and where the output lies.
    """
    folder: Path = work.keywords["folder"].path
    if stage.output is None:
        facts = stage.function(work(out=folder))
        return facts, str(facts.output)
    output = stage.output.format(bucket=work.keywords["bucket"])
    with atomic_folder(folder / output) as out:
        return stage.function(work(out=out)), output


def _resume_folder(folder: RunFolder, name: str, mark: Mark) -> Path:
    """checkpoint/resume/<stage>-<fingerprint>.

    Those of other fingerprints of the stage are of no use any more, and are removed.
    """
    stem = name.replace("[", "-").replace("]", "")
    resume = folder.checkpoint / "resume" / f"{stem}-{mark.sha256[:_MARK_LETTERS]}"
    for earlier in resume.parent.glob(_any_mark(resume.name)):
        if earlier != resume:
            shutil.rmtree(earlier)
    return resume


def _clear(resume: Path, where: Where) -> None:
    """Remove what a killed process would have been gone on with."""
    if resume.exists():
        shutil.rmtree(resume)
    where.storage.clear(_any_mark(resume.name))


def _any_mark(name: str) -> str:
    """Pattern of the resume folders of the same stage and bucket."""
    return name[:-_MARK_LETTERS] + "?" * _MARK_LETTERS


def _entry(mark: Mark, facts: Facts, output: str, manifest: Manifest, cost: Cost) -> Entry:
    return Entry(
        fingerprint=mark.sha256,
        config=mark.config,
        sources=mark.sources,
        inputs=mark.inputs,
        outputs={output: content_sha256(manifest.folder.path / output)},
        rows_in=facts.rows_in,
        rows_out=facts.rows_out,
        drops=dict(facts.drops),
        figures=facts.figures,
        versions=manifest.versions,
        **asdict(cost),
    )
