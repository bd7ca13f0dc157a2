"""Live events: on disk before they are acknowledged, folded into the next answer, read as a log by
the next run.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recsys.core.config import DataConfig
from recsys.core.errors import MachineError
from recsys.logs.read import scan_log
from recsys.lookup.lookup import Lookup
from servers import ask, running
from serving.events import KEPT_PER_USER, EventLog, LiveEvents, Row
from serving.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def address(bundle_path: Path, path: Path) -> Iterator[str]:
    with running(Settings(bundle_path, events=path)) as address:
        yield address


def row(user: str, item: str, moment: int = 1_700_000_000) -> Row:
    return {"user_id": user, "item_id": item, "timestamp": moment, "behavior": "buy"}


def send(address: str, *events: dict[str, Any]) -> tuple[int, Any]:
    return ask(f"{address}/v1/events", {"events": list(events)})


def ids(address: str, user: str) -> tuple[str, list[str]]:
    _, answer = ask(f"{address}/v1/recommend/{user}?k=40")
    return answer["source"], [one["id"] for one in answer["items"]]


def test_the_next_answer_folds_events_in_and_hides_what_was_bought(
    address: str, lookup: Lookup
) -> None:
    before = ids(address, "u03")
    bought = before[1][0]
    assert send(address, {"user": "u03", "item": bought}) == (200, {"accepted": 1, "unknown": []})
    source, after = ids(address, "u03")
    assert (source, bought in after) == ("fold_in", False)
    assert after == [
        one["id"] for one in lookup.recommend(["u03"], 40, histories=[[bought]])[0]["items"]
    ]


def test_a_stranger_is_known_after_one_event(address: str) -> None:
    assert ids(address, "new")[0] == "fallback"
    send(address, {"user": "new", "item": "i01"})
    assert ids(address, "new")[0] == "fold_in"


def test_an_item_that_the_bundle_does_not_know_is_kept_and_named(address: str, path: Path) -> None:
    assert send(address, {"user": "u01", "item": "brand new"}) == (
        200,
        {"accepted": 1, "unknown": ["brand new"]},
    )
    assert json.loads(path.read_text())["item_id"] == "brand new"


def test_a_behaviour_of_no_log_is_refused_and_nothing_written(address: str, path: Path) -> None:
    status, problem = send(
        address, {"user": "u01", "item": "i01"}, {"user": "u01", "item": "i01", "behavior": "lend"}
    )
    assert (status, "lend" in problem["detail"]) == (400, True)
    assert not path.exists()


def test_a_clock_that_goes_backwards_hides_nothing(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ids(address, "u05")[1]
    send(address, {"user": "u05", "item": first[0]})
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    assert send(address, {"user": "u05", "item": first[1]})[0] == 200
    assert not set(first[:2]) & set(ids(address, "u05")[1])


def test_the_next_run_reads_the_events_as_a_log(address: str, path: Path) -> None:
    send(
        address,
        {"user": "a b", "item": "i01", "behavior": "view"},
        {"user": "ü", "item": "i02", "time": 1_700_000_000.5},
    )
    rows, drops = scan_log(str(path), DataConfig()).collect()
    assert rows.select("user_id", "item_id", "behavior").rows() == [
        ("a b", "i01", "view"),
        ("ü", "i02", "buy"),
    ]
    assert rows["timestamp"][1] == 1_700_000_000
    assert not drops


def test_log_and_events_are_read_as_one(address: str, path: Path) -> None:
    log = path.with_name("log.csv")
    log.write_text("user_id,item_id,timestamp,behavior\nu01,i05,1600000000,buy\n")
    send(address, {"user": "new", "item": "i01"})
    rows, _ = scan_log([str(log), str(path)], DataConfig()).collect()
    assert rows["user_id"].to_list() == ["u01", "new"]
    assert rows["behavior"].to_list() == ["buy", "buy"]


def test_events_are_there_after_a_restart(bundle_path: Path, path: Path) -> None:
    settings = Settings(bundle_path, events=path)
    with running(settings) as address:
        bought = ids(address, "u03")[1][0]
        send(address, {"user": "u03", "item": bought})
    with running(settings) as address:
        assert bought not in ids(address, "u03")[1]


def test_a_torn_line_is_cut_off_by_the_next_writer_and_read_by_nobody(path: Path) -> None:
    log, live = EventLog(path), LiveEvents(path)
    log.append([row("u", "i1")])
    with path.open("ab") as stream:
        stream.write(b'{"user_id": "u", "item_')
    live.refresh()
    assert [event.item for event in live.of("u")] == ["i1"]
    log.append([row("u", "i2")])
    live.refresh()
    assert [event.item for event in live.of("u")] == ["i1", "i2"]
    assert live.broken_lines == 0
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2


def test_a_file_of_one_torn_line_becomes_empty(path: Path) -> None:
    path.write_bytes(b"x" * 200_000)
    EventLog(path).append([row("u", "i1")])
    assert json.loads(path.read_text())["item_id"] == "i1"


def test_a_line_that_is_no_event_is_counted_and_passed_over(path: Path) -> None:
    path.write_text('{"user_id": "u"}\nnonsense\n[]\n')
    EventLog(path).append([row("u", "i1")])
    live = LiveEvents(path)
    live.refresh()
    assert ([event.item for event in live.of("u")], live.broken_lines) == (["i1"], 3)


def test_a_file_that_was_replaced_is_read_anew(path: Path) -> None:
    log, live = EventLog(path), LiveEvents(path)
    log.append([row("gone", "i1"), row("u", "i2")])
    live.refresh()
    fresh = path.with_name("fresh")
    EventLog(fresh).append([row("u", "i2")])
    fresh.replace(path)
    live.refresh()
    assert (live.of("gone"), [event.item for event in live.of("u")]) == ((), ["i2"])
    path.unlink()
    live.refresh()
    assert live.of("u") == ()


def test_of_one_user_the_latest_are_kept(path: Path) -> None:
    EventLog(path).append([row("u", f"i{place}") for place in range(KEPT_PER_USER + 5)])
    live = LiveEvents(path)
    live.refresh()
    assert (len(live.of("u")), live.of("u")[0].item) == (KEPT_PER_USER, "i5")


def test_a_disk_that_refuses_takes_none_of_the_rows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(path)
    log.append([row("u", "i1")])
    whole, real = path.read_bytes(), os.write

    def full(handle: int, data: Any) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return real(handle, bytes(data)[: len(data) - 10])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(MachineError, match="No space left"):
        log.append([row("u", "i2")])
    assert path.read_bytes() == whole


WRITER = """
import sys
from pathlib import Path
from serving.events import EventLog
for place in range(50):
    row = {"user_id": sys.argv[2], "item_id": f"{sys.argv[2]}-{place}", "timestamp": place}
    EventLog(Path(sys.argv[1])).append([row])
"""


def test_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "ab"]
    assert [one.wait() for one in writers] == [0, 0]
    live = LiveEvents(path)
    live.refresh()
    assert [[event.item for event in live.of(name)] for name in "ab"] == [
        [f"{n}-{p}" for p in range(50)] for n in "ab"
    ]
