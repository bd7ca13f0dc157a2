"""A run folder in object storage: immutable bundles, and one small document that says which is live.

    URL/run.json                      the state: bundles, which is live, every switch
    URL/bundles/NAME-MANIFEST/FILE    of a bundle, by the hash of its manifest
    URL/files/HASH-NAME               other files of the run folder

What a state names is uploaded before the state, and nothing that was uploaded is ever written again, so
whoever reads a state finds all of it: writing the state is the switch. It is written under the
condition that nobody wrote another since it was read, where the store knows conditions.
"""

import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from recsys.bundle.files import MANIFEST, address_of, check_files, file_names
from recsys.core.artefacts import (
    SUPPRESSED,
    RunFolder,
    atomic_folder,
    exclusive,
    file_sha256,
    switch_link,
)
from recsys.core.errors import DataError, MachineError, UsageError
from recsys.core.progress import QUIET, Progress
from recsys.releases import life_cycle
from recsys.releases.life_cycle import Listed
from recsys.releases.remote_state import STATE, State, Stored
from recsys.storage.cache import cache_folder, folder_name, require_space
from recsys.storage.store import ChangedMeanwhile, Document, Entry, Store

_KEPT_FILES = (
    "manifest.json",
    SUPPRESSED,
    "budget.json",
    "report/report.json",
    "report/report.html",
)
_AT_ONCE = 4
_TRIES = 5
_LETTERS = 12
Copy = Literal["served", "runs"]


class RemoteRun:
    """A run folder at a URL and its copy on this machine."""

    def __init__(self, url: str, copy: Copy, progress: Progress = QUIET) -> None:
        """copy: "served" to read, "runs" for what a run leaves here and later ones go on from."""
        self.url = url.rstrip("/")
        self.copy = RunFolder(cache_folder(copy, folder_name(self.url)))
        self._progress = progress
        self._pulled = State()
        self._document: Document | Literal["nothing"] = "nothing"

    @cached_property
    def store(self) -> Store:
        return Store(self.url)

    def state(self) -> State:
        """What the store says now. Raises UsageError where no run was published."""
        document = self.store.read(STATE)
        if document is None:
            raise UsageError(
                f"{self.url!r} is not a run folder: it has no {STATE}",
                "Publish one there with recsys run",
            )
        return State.from_json(document.content, self.url)

    def pull(self, every_bundle: bool = False, may_be_new: bool = False) -> State:
        """Make the copy what the store says, with the live bundle or all of them.

        Every bundle that comes is checked against its hashes and its name before it is there.
        may_be_new: nothing in the store is an empty folder rather than an error.
        """
        document = self.store.read(STATE)
        if document is None and not may_be_new:
            self.state()
        state = State() if document is None else State.from_json(document.content, self.url)
        wanted = list(state.bundles) if every_bundle else [state.live]
        for name in wanted:
            if name is not None:
                self._bring(name, state)
        for name, sha256 in state.files.items():
            self._bring_file(name, sha256)
        life_cycle.write_history(self.copy, list(state.promotions))
        if state.live is not None:
            switch_link(self.copy.bundle, self.copy.bundles / state.live)
        else:
            self.copy.bundle.unlink(missing_ok=True)
        self._pulled, self._document = state, document or "nothing"
        return state

    def follow(self, every_bundle: bool = False) -> RunFolder:
        """The copy with the bundle that is live now, or with all; of those that are not asked for, the
        one before stays and the others are dropped.
        """
        with self._alone(wait=True):
            state = self._pulled_or_newer(every_bundle)
            if every_bundle:
                return self.copy
            keep = {state.live, *[promotion.before for promotion in state.promotions[-1:]]}
            for path in life_cycle.all_bundles(self.copy):
                if path.name not in keep:
                    life_cycle.delete(path)
        return self.copy

    def _pulled_or_newer(self, every_bundle: bool) -> State:
        """Pulled; again where what was about to come was deleted, because a newer state names it no
        more.
        """
        before = self.state()
        try:
            return self.pull(every_bundle)
        except DataError:
            if self.state() == before:
                raise
            return self.pull(every_bundle)

    @contextmanager
    def changed(self) -> Iterator[RunFolder]:
        """The copy with all bundles, to be changed; the store follows when the block ends well.

        Raises ChangedMeanwhile where somebody else changed the folder in between.
        """
        with self._alone():
            self.pull(every_bundle=True)
            yield self.copy
            self.push(self._pulled)

    @contextmanager
    def run(self) -> Iterator[RunFolder]:
        """The copy for a run: what it adds is pushed by `push_run`. A second run of the folder on this
        machine is refused.
        """
        with self._alone():
            self.store.require_writable()
            self.pull(may_be_new=True)
            yield self.copy

    def push_run(self, *bundles: str) -> None:
        """Publish what a run has added: the live bundle and `bundles`; where somebody else has switched
        meanwhile, this switch comes after theirs.
        """
        switched = len(life_cycle.history(self.copy)) > len(self._pulled.promotions)
        names = {*bundles}
        live = life_cycle.live(self.copy)
        if switched and live is not None:
            names.add(live)
        mine = self._uploaded(names | set(self._pulled.bundles))
        # Read, change, and write only if nobody has written in between; else again on what they
        # wrote.
        for _ in range(_TRIES):
            document = self.store.read(STATE)
            current = State() if document is None else State.from_json(document.content, self.url)
            try:
                self._write(current.after_run(self._pulled, mine), document or "nothing")
            except ChangedMeanwhile:
                continue
            self._pulled = mine
            self._delete_files(current, mine)
            return
        raise MachineError(
            f"{self.url} is switched by others all the time", "Run it again: nothing is lost"
        )

    def push(self, pulled: State) -> None:
        """Make the store what the copy is, if it is still as it was pulled."""
        names = {path.name for path in life_cycle.all_bundles(self.copy)}
        state = self._uploaded(names)
        # Deleted after the state that no longer names them: who reads an older one tries again.
        if state != pulled:
            self._write(state, self._document)
            self._delete_all_but(state, pulled)

    def _write(self, state: State, replaces: Document | Literal["nothing"]) -> None:
        self.store.write(STATE, state.to_json(write=secrets.token_hex(8)), replaces)

    def _delete_all_but(self, state: State, pulled: State) -> None:
        """What the state before named and this one does not."""
        folders = {stored.folder for stored in state.bundles.values()}
        keys = []
        for stored in pulled.bundles.values():
            if stored.folder not in folders:
                entries = self.store.entries(f"{stored.folder}/")
                keys += [entry.key for entry in entries]
        self.store.delete(keys)
        self._delete_files(pulled, state)

    def _delete_files(self, before: State, state: State) -> None:
        keys = []
        for name, sha256 in before.files.items():
            if state.files.get(name, sha256) != sha256:
                keys.append(_file_key(name, sha256))
        self.store.delete(keys)

    def _uploaded(self, names: Iterable[str]) -> State:
        """The state of the copy, with these bundles, once all that it names is in the store."""
        facts = {listed.name: listed for listed in life_cycle.listed(self.copy)}
        bundles = {}
        for name in sorted(names):
            stored = self._pulled.bundles.get(name)
            if stored is None:
                stored = self._upload(self.copy.bundles / name, facts[name])
            bundles[name] = stored
        files = {}
        for name in _KEPT_FILES:
            path = self.copy.path / name
            if path.exists():
                files[name] = file_sha256(path)
                if self._pulled.files.get(name) != files[name]:
                    self.store.upload(path, _file_key(name, files[name]))
        promotions = tuple(life_cycle.history(self.copy))
        return State(life_cycle.live(self.copy), promotions, bundles, files)

    def _upload(self, path: Path, facts: Listed) -> Stored:
        """Upload a bundle, its manifest last; what an interrupted upload left is gone on with."""
        manifest = file_sha256(path / MANIFEST)
        folder = f"bundles/{path.name}-{manifest[:_LETTERS]}"
        present = {entry.key: entry.bytes for entry in self.store.entries(f"{folder}/")}
        names = [name for name in sorted(file_names(path)) if name != MANIFEST]
        missing = []
        for name in names:
            if present.get(f"{folder}/{name}") != (path / name).stat().st_size:
                missing.append(name)
        num_bytes = sum((path / name).stat().st_size for name in missing)
        self._progress.say(
            f"publishing bundle {path.name} at {self.url}: {num_bytes / 1e6:,.1f} MB",
            bundle=path.name,
            bytes=num_bytes,
        )
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = []
            for name in missing:
                jobs.append(pool.submit(self.store.upload, path / name, f"{folder}/{name}"))
            for job in jobs:
                job.result()
        self.store.upload(path / MANIFEST, f"{folder}/{MANIFEST}")
        return Stored(replace(facts, live=False, rolls_back_to=False, held=False), folder, manifest)

    def _bring(self, name: str, state: State) -> None:
        """Bring a bundle, checked. Raises DataError for one that is not what its name says."""
        target = self.copy.bundles / name
        if (target / MANIFEST).exists():
            return
        stored = state.bundles[name]
        entries = {entry.key: entry for entry in self.store.entries(f"{stored.folder}/")}
        num_bytes = sum(entry.bytes for entry in entries.values())
        require_space(self.copy.path, num_bytes, f"bundle {name}")
        self._progress.say(
            f"bringing bundle {name} from {self.url}: {num_bytes / 1e6:,.1f} MB",
            bundle=name,
            bytes=num_bytes,
        )
        with atomic_folder(target) as folder:
            # The manifest first: it names the files, and the state vouches for its hash.
            self._bring_files(stored, entries, [MANIFEST], folder)
            if file_sha256(folder / MANIFEST) != stored.manifest:
                raise self._damaged(name, MANIFEST)
            names = [file for file in sorted(file_names(folder)) if file != MANIFEST]
            self._bring_files(stored, entries, names, folder)
            check_files(folder)
            if address_of(folder)[:_LETTERS] != name:
                raise self._damaged(name, "its content")

    def _bring_files(
        self, stored: Stored, entries: dict[str, Entry], names: Sequence[str], folder: Path
    ) -> None:
        for name in names:
            entry = entries.get(f"{stored.folder}/{name}")
            if entry is None:
                raise DataError(
                    f"{self.url} lacks {stored.folder}/{name}", "Publish the bundle again"
                )
            self.store.download(entry, folder / name)

    def _bring_file(self, name: str, sha256: str) -> None:
        if name not in _KEPT_FILES:
            return
        path = self.copy.path / name
        if path.exists() and (name == "manifest.json" or file_sha256(path) == sha256):
            # The stages of this machine's own runs stand in its own manifest.
            return
        entry = self.store.entry(_file_key(name, sha256))
        if entry is None:
            raise DataError(f"{self.url} lacks {_file_key(name, sha256)}", "Publish the run again")
        self.store.download(entry, path)
        if file_sha256(path) != sha256:
            path.unlink()
            raise self._damaged(name, "its content")

    def _damaged(self, name: str, what: str) -> DataError:
        return DataError(
            f"{name} at {self.url} is not what was published there: {what} differs",
            "Publish it again, and find out who writes there",
        )

    @contextmanager
    def _alone(self, wait: bool = False) -> Iterator[None]:
        lock = self.copy.path / ".remote.lock"
        with exclusive(lock, f"{self.url} is in use", "Wait for it", wait):
            for left in self.copy.bundles.glob(".*.tmp"):
                shutil.rmtree(left, ignore_errors=True)
            yield


def _file_key(name: str, sha256: str) -> str:
    return f"files/{sha256[:_LETTERS]}-{Path(name).name}"
