import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from pipelines.console import JsonLines, RichProgress, print_document, print_table, progress_to
from recsys.core.progress import QUIET


def test_json_lines_are_json_and_keep_fields(capsys: pytest.CaptureFixture[str]) -> None:
    JsonLines().say("one", rows=3, path="ü")
    captured = capsys.readouterr()
    assert captured.out == ""
    line = json.loads(captured.err)
    assert (line["message"], line["rows"], line["path"]) == ("one", 3, "ü")


@pytest.mark.parametrize("progress", [JsonLines(), RichProgress(), QUIET])
def test_tracking_changes_nothing(progress: JsonLines, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(iter([1, 2, 3]), "things", total=3)) == [1, 2, 3]
    assert list(progress.track([], "nothing")) == []
    assert capsys.readouterr().out == ""


def test_the_last_step_is_always_told(capsys: pytest.CaptureFixture[str]) -> None:
    list(JsonLines().track([1, 2, 3], "things"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (lines[-1]["progress"], lines[-1]["done"], lines[-1]["total"]) == ("things", 3, 3)


def test_which_progress() -> None:
    assert isinstance(progress_to(log_json=True, quiet=True), JsonLines)
    assert progress_to(quiet=True) is QUIET
    assert isinstance(progress_to(), RichProgress)


def test_documents_and_tables_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    print_document({"id": "7", "title": "Amélie"})
    assert json.loads(capsys.readouterr().out) == {"id": "7", "title": "Amélie"}
    print_table("Models", ["name", "value"], [["[bold]gfcf", 0.5]])
    assert "[bold]gfcf" in capsys.readouterr().out, "cells are text, not markup"


def test_nan_never_enters_a_document() -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_document({"value": float("nan")})


def test_a_reader_that_went_away_is_no_error() -> None:
    code = "from pipelines.console import print_text\nfor _ in range(9000): print_text('x' * 100)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_bars_within_bars_on_a_terminal() -> None:
    progress = RichProgress()
    progress.console = Console(file=io.StringIO(), force_terminal=True, width=100)
    found = [
        (outer, inner)
        for outer in progress.track([1, 2], "outer")
        for inner in progress.track("ab", "inner")
    ]
    progress.say("done")
    assert found == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert "done" in progress.console.file.getvalue()  # type: ignore[attr-defined]


def test_bars_are_drawn_on_a_terminal_only() -> None:
    progress = RichProgress()
    progress.console.file = io.StringIO()
    list(progress.track([1, 2], "things"))
    assert progress.console.file.getvalue() == ""
