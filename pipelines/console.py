"""Progress on stderr: bars and lines for people, JSON lines for machines. Results go to stdout."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from io import StringIO
from typing import Any, TypeVar

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from recsys.core.progress import QUIET, Progress

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 1.0


class RichProgress:
    """Lines and, on a terminal, bars."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars: Bars | None = None

    def say(self, message: str, **fields: object) -> None:
        self.console.print(message, markup=False)

    def track(self, things: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        if not self.console.is_terminal:
            yield from things
            return
        with self._display() as bars:
            task = bars.add_task(label, total=total or _length(things))
            try:
                for thing in things:
                    yield thing
                    bars.advance(task)
            finally:
                # Work may end before all of it was needed.
                bars.remove_task(task)

    @contextmanager
    def _display(self) -> Iterator[Bars]:
        """One display for all bars: rich refuses a second one while the first is alive."""
        if self._bars is not None:
            yield self._bars
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bars(
            *columns, TimeRemainingColumn(), console=self.console, transient=True
        ) as self._bars:
            try:
                yield self._bars
            finally:
                self._bars = None


class JsonLines:
    """One JSON object a line: {"time": unix seconds, "message" | "progress": …, further fields}."""

    def say(self, message: str, **fields: object) -> None:
        self._write({"message": message, **fields})

    def track(self, things: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        total = total or _length(things)
        last = time.monotonic()
        for done, thing in enumerate(things, start=1):
            yield thing
            if time.monotonic() - last >= _SECONDS_BETWEEN_LINES or done == total:
                last = time.monotonic()
                self._write({"progress": label, "done": done, "total": total})

    def _write(self, fields: dict[str, Any]) -> None:
        line = json.dumps(
            {"time": round(time.time(), 3), **fields}, ensure_ascii=False, default=str
        )
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def progress_to(log_json: bool = False, quiet: bool = False) -> Progress:
    if log_json:
        return JsonLines()
    return QUIET if quiet else RichProgress()


def print_document(document: Any) -> None:
    """A JSON document on stdout, and nothing else there."""
    print_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout, as wide as the terminal, or as it needs where there is none."""
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    with StringIO() as text:
        width = None if sys.stdout.isatty() else 160
        Console(file=text, width=width, force_terminal=sys.stdout.isatty()).print(table)
        print_text(text.getvalue())


def print_text(text: str) -> None:
    """Text on stdout. A reader that has gone away (`| head`) is no error."""
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would fail again when the interpreter closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _length(things: Iterable[Any]) -> int | None:
    return len(things) if isinstance(things, Sized) else None
