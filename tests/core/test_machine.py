import subprocess
import sys

import pytest

from recsys.core import machine


@pytest.fixture
def container(tmp_path, monkeypatch):
    """A control group whose files the test writes."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    return tmp_path


def test_a_container_limits_memory(container):
    (container / "memory.max").write_text("1000000\n")
    (container / "memory.current").write_text("900000\n")
    (container / "memory.stat").write_text(
        "anon 500000\ninactive_file 300000\nactive_file 100000\n"
    )
    assert machine.total_memory_bytes() == 1_000_000
    assert machine.free_memory_bytes() == 400_000


def test_without_a_limit_the_machine_decides(container):
    (container / "memory.max").write_text("max\n")
    (container / "memory.current").write_text("900000\n")
    assert machine.total_memory_bytes() > 100_000_000
    assert 0 < machine.free_memory_bytes() <= machine.total_memory_bytes()


def test_what_a_run_plans_with_does_not_follow_what_is_free(monkeypatch) -> None:
    monkeypatch.setattr(machine, "total_memory_bytes", lambda: 10_000)
    monkeypatch.setattr(machine, "free_memory_bytes", lambda: 1)
    assert machine.planned_memory_bytes() == 6_000


def test_peak_is_not_below_what_was_taken():
    before = machine.peak_memory_bytes()
    taken = bytearray(64 << 20)
    assert machine.peak_memory_bytes() >= max(before, len(taken))


def test_the_peak_of_a_program_is_its_own():
    """Not that of the process that started it."""
    taken = bytearray(b"x") * (512 << 20)
    script = "from recsys.core.machine import peak_memory_bytes; print(peak_memory_bytes())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < len(taken) <= machine.peak_memory_bytes()


def test_an_absent_package_is_said_to_be_absent():
    found = machine.versions(("numpy", "no-such-package"))
    assert (
        found["no-such-package"] == "absent" and found["numpy"][0].isdigit() and "python" in found
    )
