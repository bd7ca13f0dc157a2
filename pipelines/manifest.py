"""manifest.json of a run folder: what was asked, what each stage read, wrote, dropped and cost."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.trackers.hook import Tracking
from recsys.core.artefacts import RunFolder, content_sha256, write_json
from recsys.core.config import RunConfig
from recsys.core.errors import GateRefused
from recsys.core.machine import cores, versions

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One stage over one bucket.

    fingerprint: of all that decides the result.
    config: the settings that were read, by dotted key.
    sources: hash of the modules that were used.
    inputs, outputs: path → content hash.
    rows_in, rows_out, drops: counts of rows; drops by reason.
    figures: what the stage says of its work.
    seconds, peak_memory_bytes: what it took.
    versions: of the libraries.
    processor_seconds: of all threads and child processes; None in manifests of before.
    disk_bytes: of what it left; None likewise.
    """

    fingerprint: str
    config: dict[str, Any]
    sources: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    rows_in: int | None
    rows_out: int | None
    drops: dict[str, int]
    figures: dict[str, Any]
    seconds: float
    peak_memory_bytes: int
    versions: dict[str, str]
    processor_seconds: float | None = None
    disk_bytes: int | None = None

    @property
    def output(self) -> str:
        """Path of the only output."""
        [path] = self.outputs
        return path


@dataclass
class Manifest:
    """The manifest while a plan runs; every change is on disk before the next stage starts."""

    folder: RunFolder
    config: RunConfig
    """That stages read: as asked for, or what a budget made of it."""
    asked: RunConfig
    entries: dict[str, Entry]
    before: str = ""
    """Status of the earlier run of this folder."""
    versions: dict[str, str] = field(default_factory=versions)
    known: dict[str, str] = field(default_factory=dict)
    """Outputs whose contents were checked or made in this run: path → content hash."""
    touched: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    refusal: GateRefused | None = None
    """Why the finished bundle did not go live."""
    tracking: Tracking | None = None
    """What a tracker was told; None without one."""

    @staticmethod
    def open(folder: RunFolder, config: RunConfig, keep: bool = True) -> "Manifest":
        """The manifest of an earlier run of this folder, or a new one.

        keep: False forgets what earlier stages did.
        """
        earlier = folder.read_manifest()
        entries = {}
        if keep and earlier.get("format") == FORMAT:
            stages = earlier.get("stages", {})
            for name in earlier.get("order", []):
                if name in stages:
                    entries[name] = Entry(**stages[name])
        manifest = Manifest(folder, config, config, entries, before=earlier.get("status", ""))
        manifest._write("running")
        return manifest

    def unchanged(self, name: str, fingerprint: str) -> bool:
        """Whether the stage was done with this fingerprint and its outputs still lie there, byte
        for byte.
        """
        entry = self.entries.get(name)
        if entry is None or entry.fingerprint != fingerprint:
            return False
        for output, sha256 in entry.outputs.items():
            if self._content(output) != sha256:
                return False
        self._keep(name, entry)
        return True

    def changed_since(
        self, name: str, config: dict[str, Any], inputs: dict[str, str], sources: str
    ) -> str:
        """Why the stage has to run, for people."""
        entry = self.entries.get(name)
        if entry is None:
            return "first time"
        reasons = []
        for key, value in config.items():
            if entry.config.get(key) != value:
                reasons.append(f"config {key}")
        for path, sha256 in inputs.items():
            if entry.inputs.get(path) != sha256:
                reasons.append(path)
        if entry.sources != sources:
            reasons.append("source code")
        return f"changed: {', '.join(reasons)}" if reasons else "output missing or altered"

    def record(self, name: str, entry: Entry) -> None:
        self.entries[name] = entry
        self.ran.append(name)
        self._keep(name, entry)
        self._write("running")

    def finish(self, whole: bool, to_the_end: bool) -> None:
        """Write the last state. A whole plan is done and forgets stages that it no longer has.

        A part of it leaves a finished run finished when nothing was run, or when everything after
        it was.
        """
        if whole:
            self.entries = {name: self.entries[name] for name in self.touched}
        is_still_done = self.before == "done" and (to_the_end or not self.ran)
        is_done = whole or is_still_done
        self._write("done" if is_done else "partial")

    def content(self, output: str) -> str:
        """Content hash of an output of an earlier stage."""
        return self.known.get(output) or content_sha256(self.folder.path / output)

    def _content(self, output: str) -> str | None:
        path = self.folder.path / output
        if not path.exists():
            return None
        return content_sha256(path)

    def _keep(self, name: str, entry: Entry) -> None:
        self.touched.append(name)
        self.known.update(entry.outputs)

    def _write(self, status: str) -> None:
        # An entry holds plain values: dataclasses.asdict would copy all of them after every stage.
        stages = {name: vars(entry) for name, entry in self.entries.items()}
        document = {
            "format": FORMAT,
            "status": status,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": self.asked.model_dump(mode="json"),
            "seed": self.config.seed,
            "cores": cores(),
            "versions": self.versions,
            "order": list(self.entries),
            "stages": stages,
        }
        write_json(self.folder.manifest, document)
