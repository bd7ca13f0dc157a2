"""What administrators ask for and takes its time: a job each, one after the other, which goes on though
nobody waits for it.

Jobs are documents in a folder of the run, so that every worker can tell how far one is.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from recsys.core.artefacts import read_json, write_json
from recsys.core.errors import DataError, RecsysError
from serving.documents import Job
from serving.logs import LOG
from serving.problems import Refused

KEPT = 50
Tell = Callable[[float], None]
"""Called with the share of a job that is done."""
Outcome = tuple[str, str]
"""Which bundle answers now, and which did before."""


@dataclass
class Jobs:
    """Runs jobs in a thread of its own. folder: None keeps them in memory.

    record: told of every job's key, action and outcome once it has ended.
    """

    folder: Path | None
    record: Callable[[str, str, str], None]
    _runner: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "admin"))
    _own: dict[str, Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(
        self, key: str, action: str, work: Callable[[Tell], Outcome]
    ) -> tuple[str, Future[None]]:
        """Id of a new job, and its end, which raises nothing. Waits for the disk."""
        job: Job = {
            "job": f"{time.time_ns():016x}",  # later ones sort behind
            "action": action,
            "state": "waiting",
            "share": 0.0,
            "began": time.time(),
            "process": os.getpid(),
        }
        self._keep(job)
        return job["job"], self._runner.submit(self._run, job, key, work)

    def get(self, name: str) -> Job:
        """Raises Refused (404) for one that is unknown, or too old."""
        with self._lock:
            job = self._own.get(name)
        if job is None and self.folder is not None and name.isalnum():
            file = self._file(name)
            job = read_json(file) if file.exists() else None
        if job is None:
            raise Refused(
                404, f"there is no job {name!r}", f"The latest {KEPT} are kept", code="unknown_job"
            )
        # Its document says how far it was when its process ended.
        if _is_under_way(job) and not psutil.pid_exists(job["process"]):
            return {**job, "state": "lost"}
        return job

    def num_under_way(self) -> int:
        """Of this process: jobs that are begun, or wait."""
        with self._lock:
            return sum(_is_under_way(job) for job in self._own.values())

    def close(self) -> None:
        """Wait for the job under way; those that wait are not begun."""
        self._runner.shutdown(cancel_futures=True)

    def _run(self, job: Job, key: str, work: Callable[[Tell], Outcome]) -> None:
        outcome = "failed: a bug"
        job["state"] = "running"
        self._keep(job)
        try:
            job["model_version"], job["before"] = work(lambda share: self._progress(job, share))
            job["state"], job["share"] = "done", 1.0
            outcome = job["model_version"]
        except RecsysError as error:
            job["state"], job["code"] = "refused", _code_of(error)
            job["detail"], job["remedy"] = error.message, error.remedy
            outcome = f"refused: {error}"
        except Exception as error:  # a job has no client who would be told of a bug
            LOG.exception("%s failed", job["action"])
            job["state"], job["code"] = "failed", RecsysError.code
            job["detail"] = f"{type(error).__name__}: {error}"
        finally:
            self.record(key, job["action"], outcome)
            job["ended"] = time.time()
            self._keep(job)

    def _progress(self, job: Job, share: float) -> None:
        # Each is a file written: a hundred at most.
        if share - job["share"] >= 0.01:
            job["share"] = round(share, 2)
            self._keep(job)

    def _keep(self, job: Job) -> None:
        with self._lock:
            self._own[job["job"]] = {**job}
            while len(self._own) > KEPT:
                del self._own[next(iter(self._own))]
        # Outside the lock: a disk that is busy with a bundle takes seconds, and `get` waits for none.
        if self.folder is not None:
            write_json(self._file(job["job"]), job)
            for old in sorted(self.folder.glob("[0-9a-f]*.json"))[:-KEPT]:
                old.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}.json"


def _is_under_way(job: Job) -> bool:
    return job["state"] in ("waiting", "running")


def _code_of(error: RecsysError) -> str:
    """Data that are wrong are those of a bundle here."""
    return "bundle_refused" if isinstance(error, DataError) else error.code
