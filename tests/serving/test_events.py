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
from recsys.core.suppression import Suppression
from recsys.logs.read import scan_log
from recsys.lookup.histories import Event
from recsys.lookup.lookup import Lookup
from servers import ask, running
from serving.event_log import EventLog, Row
from serving.live_events import KEPT_PER_USER, LiveEvents
from serving.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def address(bundle_path: Path, path: Path) -> Iterator[str]:
    with running(Settings(bundle_path, events=path)) as address:
        yield address


NOW = int(time.time())


def row(user: str, item: str, moment: int = NOW) -> Row:
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


def test_one_wrong_event_fails_itself_alone_and_is_named_by_its_place(
    address: str, path: Path
) -> None:
    good = {"user": "u01", "item": "i01"}
    wrong = [
        {"user": "u01", "item": "i01", "behavior": "byy"},
        {"user": "", "item": "i01"},
        {"user": "u01"},
        {"user": "u01", "item": "i01", "time": -1},
        "nothing",
    ]
    status, answer = send(address, good, *wrong, good)
    assert (status, answer["accepted"]) == (200, 2)
    assert [one["place"] for one in answer["rejected"]] == [1, 2, 3, 4, 5]
    details = " ".join(one["detail"] for one in answer["rejected"])
    for part in ("behaviour 'byy'", "user: String should have", "item: Field required", "time: "):
        assert part in details
    assert answer["rejected"][0]["remedy"] == "Did you mean 'buy'?"
    assert len(path.read_text().splitlines()) == 2


def test_wrong_events_alone_are_refused_and_nothing_is_written(address: str, path: Path) -> None:
    status, problem = send(address, {"user": "u01", "item": "i01", "behavior": "lend"})
    assert (status, problem["detail"]) == (400, "events.0: unknown behaviour 'lend'")
    assert not path.exists()


@pytest.mark.parametrize("place", ["/v1/recommend/", "/v1/items/", "/v1/similar/"])
def test_an_empty_id_is_refused(address: str, place: str) -> None:
    assert ask(address + place)[0] in (404, 422)


def test_an_event_that_is_sent_again_counts_once(
    address: str, path: Path, bundle_path: Path
) -> None:
    """To a second service on the same log, too, and after a restart."""
    event = {"user": "u01", "item": "i01", "id": "order-7"}
    assert send(address, event, event)[1] == {"accepted": 1, "unknown": [], "repeated": 1}
    assert send(address, event)[1] == {"accepted": 0, "unknown": [], "repeated": 1}
    with running(Settings(bundle_path, events=path)) as another:
        assert send(another, event)[1]["accepted"] == 0
        assert send(another, {**event, "id": "order-8"})[1] == {"accepted": 1, "unknown": []}
    assert send(address, {**event, "id": "order-8"})[1]["repeated"] == 1
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [one["event_id"] for one in rows] == ["order-7", "order-8"]


def test_the_next_run_reads_events_with_ids(address: str, path: Path) -> None:
    send(address, {"user": "u01", "item": "i01"}, {"user": "u02", "item": "i02", "id": "a"})
    rows, drops = scan_log(str(path), DataConfig()).collect()
    assert rows["user_id"].to_list() == ["u01", "u02"] and not drops


def test_events_can_be_taken_back(address: str, path: Path) -> None:
    send(
        address,
        {"user": "new", "item": "i01", "id": "a"},
        {"user": "new", "item": "i02"},
        {"user": "new", "item": "i02", "behavior": "view"},
        {"user": "other", "item": "i02"},
    )
    assert ids(address, "new")[0] == "fold_in"
    retract = f"{address}/v1/events/retract"
    assert ask(retract, {"ids": ["a", "b"]}) == (200, {"retracted": 1})
    view = {"user": "new", "item": "i02", "behavior": "view"}
    assert ask(retract, {"events": [view]})[1] == {"retracted": 1}
    assert ask(retract, {"events": [{"user": "new", "item": "i02"}]})[1] == {"retracted": 1}
    assert ask(retract, {"events": [view]})[1] == {"retracted": 0}
    assert ids(address, "new")[0] == "fallback"
    assert [json.loads(line)["user_id"] for line in path.read_text().splitlines()] == ["other"]
    assert ask(retract, {})[0] == 400


def test_who_was_forgotten_stays_forgotten(bundle_path: Path, path: Path, tmp_path: Path) -> None:
    with running(Settings(bundle_path, run=tmp_path, events=path)) as address:
        Suppression.load(tmp_path / "suppressed.json").having("gone").save(
            tmp_path / "suppressed.json"
        )
        status, answer = send(
            address, {"user": "gone", "item": "i01"}, {"user": "u", "item": "i01"}
        )
        assert (status, answer) == (200, {"accepted": 1, "unknown": [], "forgotten": 1})
        assert ids(address, "gone")[0] == "fallback"
    assert "gone" not in path.read_text()


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


def test_old_events_and_too_many_are_dropped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.live_events.MOST_EVENTS", 6)
    log, live = EventLog(path), LiveEvents(path, days=1)
    log.append(
        [row("old", "i1", NOW - 90_000), row("order", "i1", 7), row("u", "i1", NOW - 90_000)]
    )
    log.append([row("u", "i2")])
    live.refresh()
    assert live.of("old") == () and [event.item for event in live.of("u")] == ["i2"]
    assert [event.time for event in live.of("order")] == [7.0]  # a place in an order has no age
    log.append([row("v", f"i{place}") for place in range(4)])
    live.refresh()
    assert live.of("order") == () and len(live.of("v")) == 4
    assert len(live) <= 6


def test_of_a_long_log_the_end_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(path)
    log.append([row("u", f"i{place:04}") for place in range(1000)])
    monkeypatch.setattr("serving.live_events.LOG_BYTES", 10_000)
    live = LiveEvents(path)
    live.refresh()
    items = [event.item for event in live.of("u")]
    assert items[-1] == "i0999" and 50 < len(items) < 200 and live.broken_lines == 0


def test_an_event_is_told_as_it_was_sent(path: Path) -> None:
    EventLog(path).append(
        [{**row("u", "é"), "weight": 2.5, "behavior": "view"}, {**row("u", "i1"), "weight": 1.0}]
    )
    live = LiveEvents(path)
    live.refresh()
    assert live.of("u") == (Event("é", "view", NOW, 2.5), Event("i1", "buy", NOW, 1.0))


def test_ids_are_remembered_up_to_a_number(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.row_log.MOST_NAMES", 3)
    live = LiveEvents(path)
    EventLog(path).append([{**row("u", "i1"), "event_id": str(one)} for one in range(5)])
    live.refresh()
    assert [live.has_seen(str(one)) for one in range(5)] == [False, False, True, True, True]


WRITER = """
import sys
from pathlib import Path
from serving.event_log import EventLog
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
