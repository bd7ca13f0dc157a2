"""Steps of a stage over buckets: every call leaves a folder of files, whole or absent.

A step is a deterministic function of its arguments and its input files, and writes each file in a
total order. What it leaves is named with size and hash, so that whoever reads it later knows whether
it is still whole: a broken file is made again by the call that made it, and nothing else is. Where
calls run (`core.runners`), and where files lie (`core.step_files`), changes none of the bytes.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recsys.core.artefacts import text_sha256
from recsys.core.errors import MachineError
from recsys.core.progress import QUIET, Progress
from recsys.core.runners import ATTEMPTS, LocalRunner, Runner
from recsys.core.step_files import CARD, BucketFile, SharedFolder, StepFiles

_OWN_BYTES = 256 << 20  # of a process before it reads anything
_BYTES_PER_BYTE = 8  # of memory for each byte of the inputs, sorted, grouped and written

Facts = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One step over one bucket, as it is sent to where it runs.

    function: a function of a module; returns facts that JSON can hold.
    name: of the step with the bucket.
    arguments: plain values; their repr is part of what decides the result.
    source: what is not plain, and follows from the configuration and the files of the run alone.
    inputs: files of earlier steps.
    out: folder to fill; while the function runs it stands under another name.
    lasts: whether another process may want the result: it is hashed, synced and kept.
    progress: silent in other processes.
    storage: where inputs come from and results go to.
    """

    function: Callable[["Call"], Facts]
    name: str
    arguments: Any
    source: Any
    inputs: tuple[BucketFile, ...]
    out: Path
    lasts: bool
    progress: Progress = QUIET
    storage: StepFiles = field(default_factory=SharedFolder)

    @property
    def fingerprint(self) -> str:
        hashes = [file.sha256 for file in self.inputs]
        return text_sha256(json.dumps([self.name, repr(self.arguments), hashes]))

    def read(self, name: str) -> list[Path]:
        """Paths of the inputs called so, in the order that they were given."""
        return [file.path for file in self.inputs if file.path.name == name]

    def used_up(self, path: Path) -> None:
        """Nothing reads this input after this call: its space is given back where nobody may have to
        run the call again, or where there is more than this copy.
        """
        if not self.lasts or self.storage.copies:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Outcome:
    """What a call left. was_there: it was done before."""

    facts: Facts
    files: tuple[BucketFile, ...]
    was_there: bool = False

    def named(self, *names: str) -> list[BucketFile]:
        """The files called so."""
        return [file for file in self.files if file.path.name in names]

    def starting(self, prefix: str) -> list[BucketFile]:
        """The files whose names start so."""
        return [file for file in self.files if file.path.name.startswith(prefix)]


@dataclass(frozen=True)
class Broken:
    """An input that is not as the step before left it."""

    path: Path


@dataclass
class Steps:
    """Runs steps into a folder, on a runner.

    folder: what lies there of an earlier try with the same configuration and inputs is used.
    storage: where that folder is.
    """

    folder: Path
    runner: Runner = field(default_factory=LocalRunner)
    progress: Progress = QUIET
    lasts: bool = False
    storage: StepFiles = field(default_factory=SharedFolder)
    _makers: dict[Path, Call] = field(default_factory=dict)

    def run(
        self,
        step: str,
        function: Callable[[Call], Facts],
        arguments: Sequence[Any],
        inputs: Sequence[Sequence[BucketFile]],
        sources: Sequence[Any] = (),
    ) -> list[Outcome]:
        """One call for each of the `arguments`, with its inputs; a barrier.

        Raises:
            MachineError: a file is broken whenever it is read. Also what the function raises.
        """
        calls = []
        for number, plain in enumerate(arguments):
            call = Call(
                function=function,
                name=f"{step} {number}",
                arguments=plain,
                source=sources[number] if sources else None,
                inputs=tuple(inputs[number]),
                out=self.folder / step / f"{number:05d}",
                lasts=self.lasts,
                progress=QUIET if self.runner.is_remote else self.progress,
                storage=self.storage,
            )
            calls.append(call)
            self._makers[call.out] = call
        outcomes = self._run(step, calls)
        if self.lasts:
            there = sum(outcome.was_there for outcome in outcomes)
            self.progress.say(
                f"  {step}: {len(calls)} buckets, {there} were there",
                step=step,
                buckets=len(calls),
                were_there=there,
            )
        return outcomes

    def write(self, name: str, save: Callable[[Path], object]) -> BucketFile:
        """A file that whoever leads the steps gives to all their calls."""
        path = self.folder / name
        with self.storage.writing(path) as unfinished:
            save(unfinished)
            file = BucketFile.of(unfinished, hashed=self.lasts)
        return replace(file, path=path)

    def take(self, path: Path) -> BucketFile:
        """A file that an earlier stage left, as an input."""
        return self.storage.take(BucketFile.of(path, hashed=self.lasts), self.folder)

    def below(self, name: str) -> "Steps":
        """Steps of the same names beside these."""
        return Steps(self.folder / name, self.runner, self.progress, self.lasts, self.storage)

    def whole(self, file: BucketFile) -> Path:
        """Where a file lies that whoever leads the steps reads; it is made again when it is broken.

        Raises MachineError when that does not help.
        """
        for _ in range(ATTEMPTS):
            path = self.storage.at(file)
            if path is not None:
                return path
            self._make_again(file.path.parent, "reading")
        raise _always_broken("reading", file.path)

    def hand_over(self, file: BucketFile, path: Path) -> None:
        """A file under its final name: another name of the same bytes where the disk has such."""
        source = self.whole(file)
        try:
            os.link(source, path)
        except OSError:
            shutil.copyfile(source, path)

    def let_go(self, outcomes: Sequence[Outcome]) -> None:
        """Give back the space of files that no later step reads. That they were there stays known."""
        files = [file for outcome in outcomes for file in outcome.files]
        if self.lasts:
            for folder in sorted({file.path.parent for file in files}):
                card = self.storage.card(folder)
                if card is not None:
                    self.storage.write_card(folder, card | {"let_go": True})
        self.storage.remove(files)

    def _run(self, step: str, calls: Sequence[Call]) -> list[Outcome]:
        outcomes: dict[Path, Outcome] = {}
        waiting = list(calls)
        for _ in range(ATTEMPTS):
            results = self.runner.map(perform, waiting, _memory_bytes(waiting))
            broken = []
            for call, result in zip(waiting, results, strict=True):
                if isinstance(result, Outcome):
                    outcomes[call.out] = result
                else:
                    broken.append((call, result))
            if not broken:
                return [outcomes[call.out] for call in calls]
            for folder in dict.fromkeys(result.path.parent for _, result in broken):
                self._make_again(folder, step)
            waiting = [call for call, _ in broken]
        [first, *_] = [result.path for _, result in broken]
        raise _always_broken(step, first)

    def _make_again(self, folder: Path, step: str) -> None:
        """Run the call that left a folder once more."""
        maker = self._makers.get(folder)
        if maker is None:
            raise MachineError(
                f"{step}: a file in {folder} is broken", "Run the same command again"
            )
        self.progress.say(
            f"  {maker.name} left a file that is missing or broken: it is run again",
            made_again=maker.name,
        )
        self.storage.remove_card(folder)
        self._run(maker.name, [maker])


def perform(call: Call) -> Outcome | Broken:
    """Run a call, unless it was done with the same inputs and its files are still whole."""
    if not call.lasts:
        call.out.mkdir(parents=True)
        facts = call.function(call)
        return Outcome(facts, _files(call.out, hashed=False))
    earlier = _earlier(call)
    if earlier is not None:
        return earlier
    inputs = []
    for file in call.inputs:
        path = call.storage.at(file)
        if path is None:
            return Broken(file.path)
        inputs.append(replace(file, path=path))
    with call.storage.filling(call.out) as unfinished:
        facts = call.function(replace(call, inputs=tuple(inputs), out=unfinished))
        files = _files(unfinished, hashed=True)
        written = {file.path.name: [file.size, file.sha256] for file in files}
        card = {"fingerprint": call.fingerprint, "facts": facts, "files": written}
        (unfinished / CARD).write_text(json.dumps(card, sort_keys=True), encoding="utf-8")
    return _outcome(call, card)


def _earlier(call: Call) -> Outcome | None:
    """What the same call left before; None when there is no such thing or it is not whole."""
    card = call.storage.card(call.out)
    if card is None or card.get("fingerprint") != call.fingerprint:
        return None
    outcome = _outcome(call, card, was_there=True)
    if card.get("let_go") or call.storage.are_there(call.out, outcome.files):
        return outcome
    return None


def _outcome(call: Call, card: dict[str, Any], was_there: bool = False) -> Outcome:
    files = []
    for name, (size, sha256) in sorted(card["files"].items()):
        files.append(BucketFile(call.out / name, size, sha256))
    return Outcome(card["facts"], tuple(files), was_there)


def _files(folder: Path, hashed: bool) -> tuple[BucketFile, ...]:
    return tuple(BucketFile.of(path, hashed) for path in sorted(folder.iterdir()))


def _always_broken(step: str, path: Path) -> MachineError:
    return MachineError(
        f"{step}: {path} is broken each of the {ATTEMPTS} times that it is read",
        "Do all nodes see this folder? Is the disk failing, or does something else write there?",
    )


def _memory_bytes(calls: Sequence[Call]) -> int:
    """What the largest of some calls takes."""
    largest = max((sum(file.size for file in call.inputs) for call in calls), default=0)
    return call_bytes(largest)


def call_bytes(input_bytes: int) -> int:
    """What a call takes of memory, at most, by the size of its input files."""
    return _OWN_BYTES + _BYTES_PER_BYTE * input_bytes
