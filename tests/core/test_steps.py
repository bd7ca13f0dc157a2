"""Steps over buckets: whole or absent, skipped when they are there, made again when they are broken."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chain import Heard
from held_up import kill_itself, kill_itself_once, letters, polars_threads
from recsys.core.errors import MachineError, UsageError
from recsys.core.runners import LocalRunner
from recsys.core.steps import Steps


def two_steps(folder: Path, heard: Heard, runner: LocalRunner | None = None) -> list[str]:
    """Three calls, and two that read them all."""
    steps = Steps(folder, runner or LocalRunner(), heard, lasts=True)
    first = steps.run("first", letters, ["a", "b", "c"], [(), (), ()])
    files = [file for outcome in first for file in outcome.files]
    second = steps.run("second", letters, [1, 2], [files, files])
    return [file.path.read_text() for outcome in second for file in outcome.files]


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    heard = Heard()
    assert two_steps(tmp_path, heard) == ["1:a:b:c:", "2:a:b:c:"]
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.txt")}
    assert two_steps(tmp_path, heard) == ["1:a:b:c:", "2:a:b:c:"]
    assert heard.lines[-2:] == [
        "  first: 3 buckets, 3 were there",
        "  second: 2 buckets, 2 were there",
    ]
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.txt")}


@pytest.mark.parametrize("harm", ["shorter", "other bytes", "gone"])
def test_a_broken_file_is_made_again_by_its_call_alone(tmp_path: Path, harm: str) -> None:
    heard = Heard()
    steps = Steps(tmp_path, progress=heard, lasts=True)
    first = steps.run("first", letters, ["a", "b", "c"], [(), (), ()])
    [broken] = first[1].files
    untouched = first[0].files[0].path.stat().st_mtime_ns
    if harm == "shorter":
        broken.path.write_text("")
    elif harm == "other bytes":
        broken.path.write_text("x:")
    else:
        broken.path.unlink()
    files = [file for outcome in first for file in outcome.files]
    [second] = steps.run("second", letters, [1], [files])
    assert second.files[0].path.read_text() == "1:a:b:c:"
    assert "first 1 left a file that is missing or broken: it is run again" in heard.text
    assert first[0].files[0].path.stat().st_mtime_ns == untouched


def test_what_was_let_go_counts_as_there_and_is_made_again_when_it_is_read(tmp_path: Path) -> None:
    steps = Steps(tmp_path, lasts=True)
    first = steps.run("first", letters, ["a"], [()])
    second = steps.run("second", letters, ["b"], [first[0].files])
    steps.let_go(first)
    assert not first[0].files[0].path.exists()

    heard = Heard()
    again = Steps(tmp_path, progress=heard, lasts=True)
    known = again.run("first", letters, ["a"], [()])
    assert known[0].was_there and not known[0].files[0].path.exists()
    assert again.run("second", letters, ["b"], [known[0].files])[0].was_there
    second[0].files[0].path.write_text("broken")
    third = again.run("third", letters, ["c"], [second[0].files])
    assert third[0].files[0].path.read_text() == "c:b:a:"


def test_other_arguments_or_inputs_are_another_call(tmp_path: Path) -> None:
    for number, (text, there) in enumerate([("a", False), ("a", True), ("b", False)]):
        steps = Steps(tmp_path, lasts=True)
        [first] = steps.run("first", letters, [text], [()])
        [second] = steps.run("second", letters, [0], [first.files])
        assert (first.was_there, second.was_there) == (there, there), number


def test_what_is_always_broken_ends_with_one_line(tmp_path: Path) -> None:
    steps = Steps(tmp_path, lasts=True)
    [first] = steps.run("first", letters, [time.monotonic_ns()], [()])
    file = first.files[0]
    unlike = type(file)(file.path, file.size, "0" * 64)
    with pytest.raises(MachineError, match="is broken each of the 3 times"):
        steps.run("second", letters, [0], [[unlike]])


class Unshared(LocalRunner):
    """Whose calls leave their files where nobody else sees them."""

    def map(self, function: Any, tasks: Sequence[Any], memory_bytes: int = 0) -> list[Any]:
        results = super().map(function, tasks, memory_bytes)
        for task in tasks:
            shutil.rmtree(task.out, ignore_errors=True)
        return results


def test_a_folder_that_is_not_shared_ends_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="Do all nodes see this folder"):
        two_steps(tmp_path, Heard(), Unshared())


def test_a_call_that_always_takes_its_process_along_is_given_up(tmp_path: Path) -> None:
    with LocalRunner(processes=2) as runner:
        steps = Steps(tmp_path, runner, lasts=True)
        with pytest.raises(MachineError, match="took their process along 3 times"):
            steps.run("dies", kill_itself, [0], [()])


def test_a_process_that_dies_is_replaced(tmp_path: Path) -> None:
    with LocalRunner(processes=2) as runner:
        steps = Steps(tmp_path / "steps", runner, lasts=True)
        outcomes = steps.run("dies", kill_itself_once, [str(tmp_path)] * 2, [(), ()])
    assert [outcome.files[0].path.read_text() for outcome in outcomes] == ["again:"] * 2


def test_processes_leave_the_same_files(tmp_path: Path) -> None:
    with LocalRunner(processes=2) as runner:
        assert two_steps(tmp_path / "two", Heard(), runner) == two_steps(tmp_path / "one", Heard())


def test_processes_share_the_cores(tmp_path: Path) -> None:
    with LocalRunner(processes=64) as runner:
        [threads] = runner.map(polars_threads, [None])
    assert threads == 1


def test_no_processes_are_refused() -> None:
    with pytest.raises(UsageError, match="0 processes"):
        LocalRunner(0)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_tasks(processes: int) -> None:
    with LocalRunner(processes) as runner:
        assert runner.map(abs, [-3, 1, -2]) == [3, 1, 2]
