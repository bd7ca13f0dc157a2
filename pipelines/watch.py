"""What tells that a stage is at work: a line now and then, and a file that a service reads."""

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

from recsys.core.artefacts import RunFolder
from recsys.core.progress import Progress

SECONDS_BETWEEN_LINES = 10.0


class StageWatch:
    """`with StageWatch(…): …` says every ten seconds that the stage is at work, and for how long it
    may go on; the run folder's progress.json says the same.
    """

    def __init__(
        self,
        folder: RunFolder,
        progress: Progress,
        label: str,
        name: str,
        forecast_seconds: Mapping[str, float],
    ) -> None:
        """label: shown before the name. forecast_seconds: by name of a stage."""
        self._folder = folder
        self._progress = progress
        self._label = label
        self._name = name
        self._forecast_seconds = forecast_seconds
        self._over = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> "StageWatch":
        self._write(0.0)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LINES):
            seconds = time.monotonic() - self._began
            self._progress.say(
                f"{self._label} {self._name}: at work for {seconds:.0f} s{self._outlook()}",
                stage=self._name,
                at_work_seconds=round(seconds, 1),
            )
            self._write(seconds)

    def _outlook(self) -> str:
        forecast = self._forecast_seconds.get(self._name)
        if forecast is None or forecast < 1:
            return ""
        return f", forecast to take {forecast:.0f} s of processor"

    def _write(self, seconds: float) -> None:
        document = {
            "label": self._label,
            "stage": self._name,
            "seconds": round(seconds, 1),
            "forecast_seconds": self._forecast_seconds.get(self._name),
            "written": time.time(),
        }
        # Whole for whoever reads it, but not worth a sync; a full disk is told by the stage itself.
        path = self._folder.progress
        unfinished = path.with_name(f".{path.name}.tmp")
        with suppress(OSError):
            unfinished.write_text(json.dumps(document), encoding="utf-8")
            unfinished.replace(path)
