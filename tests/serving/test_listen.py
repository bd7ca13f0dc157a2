"""`recsys listen`: a real broker, the real command, and the service that answers with what came."""

import errno
import json
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brokers import Broker, free_port, running_broker
from patience import PATIENCE_SECONDS, eventually
from pipelines.cli import main
from recsys.core.artefacts import switch_link, write_json
from recsys.core.config import DataConfig
from recsys.core.suppression import Suppression
from recsys.logs.read import scan_log
from servers import ask, running
from serving.messages import WrongMessage, _seconds
from serving.settings import Settings
from written import json_rows

T0 = 1_700_000_000

Listen = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with running_broker() as broker:
        yield broker


@pytest.fixture
def topic(broker: Broker, request: pytest.FixtureRequest) -> str:
    name = request.node.name[:60].replace("[", "-").replace("]", "")
    broker.make(name, partitions=2)
    return str(name)


@pytest.fixture
def folder(tmp_path: Path, bundle_path: Path) -> Path:
    run = tmp_path / "shop"
    shutil.copytree(bundle_path, run / "bundles" / bundle_path.name)
    switch_link(run / "bundle", run / "bundles" / bundle_path.name)
    write_json(run / "manifest.json", {"config": {"data": {"user_col": "customer"}}})
    return run


def command(folder: Path, address: str, topic: str, *flags: str) -> list[str]:
    words = ["listen", str(folder), "--server", address, "--topic", topic, *flags]
    return [sys.executable, "-m", "pipelines.cli", *words]


@pytest.fixture
def listen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Listen:
    """The command in this process, until the topic ends: exit code, stdout, stderr."""
    monkeypatch.setattr(signal, "signal", lambda *signals: None)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(folder: Path, address: str, topic: str, *flags: str) -> tuple[int, str, str]:
        words = command(folder, address, topic, "--once", *flags)
        monkeypatch.setattr(sys, "argv", ["recsys", *words[3:]])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(left.value.code or 0), out, err

    return run


def rows(folder: Path) -> list[dict[str, Any]]:
    return json_rows(folder / "events.jsonl")


def event(user: str, item: str, **others: object) -> dict[str, object]:
    return {"user": user, "item": item, **others}


def test_messages_become_events_that_the_service_and_the_next_run_read(
    broker: Broker, topic: str, folder: Path, listen: Listen
) -> None:
    broker.send(topic, [event("new", "i01", time=T0, behavior="view", price=3, id="a")])
    broker.send(topic, [{"customer": 7, "item_id": "i02", "timestamp": T0 * 1000}], partition=1)
    code, out, err = listen(folder, broker.address, topic, "--json")
    assert (code, json.loads(out)["written"]) == (0, 2)
    assert f"{topic}: 2 events written" in err
    by_user = {row["user_id"]: row for row in rows(folder)}
    first = {"user_id": "new", "item_id": "i01", "timestamp": T0, "behavior": "view"}
    assert {key: by_user["new"][key] for key in first} == first
    assert by_user["new"]["event_id"] == "a"
    assert by_user["7"]["timestamp"] == T0 and by_user["7"]["behavior"] == "buy"
    assert by_user["7"]["event_id"].startswith(f"{topic}/1/0@")
    read, drops = scan_log(str(folder / "events.jsonl"), DataConfig()).collect()
    assert (len(read), len(drops)) == (2, 0)
    settings = Settings(
        folder / "bundle", run=folder, events=folder / "events.jsonl", live_days=1e5
    )
    with running(settings) as address:
        assert ask(f"{address}/v1/recommend/new")[1]["source"] == "fold_in"


def test_a_message_is_taken_once(broker: Broker, topic: str, folder: Path, listen: Listen) -> None:
    """By the next call, which begins where this one ended, and by another group, which begins anew."""
    broker.send(topic, [event("u01", "i01", time=T0), event("u01", "i01", time=T0)])
    broker.send(topic, [event("u01", "i02", id="order-7"), event("u01", "i02", id="order-7")])
    assert "3 events written, 1 repeated" in listen(folder, broker.address, topic)[2]
    assert broker.committed(topic, "recsys-shop") == 4
    assert "0 events written" in listen(folder, broker.address, topic)[2]
    again = listen(folder, broker.address, topic, "--group", "another")[2]
    assert "0 events written, 4 repeated" in again
    broker.send(topic, [event("u02", "i01")])
    assert f"{topic}: 1 events written\n" in listen(folder, broker.address, topic)[2]
    assert len(rows(folder)) == 4


def test_without_a_time_it_is_when_the_message_was_sent(
    broker: Broker, topic: str, folder: Path, listen: Listen
) -> None:
    broker.send(topic, [event("u01", "i01")])
    listen(folder, broker.address, topic)
    [row] = rows(folder)
    sent = int(row["event_id"].rpartition("@")[2])
    assert row["timestamp"] == sent // 1000 > T0


WRONG: list[tuple[Any, str]] = [
    (b"{", "it is no JSON: b'{'"),
    (b"[1]", "it is no JSON object"),
    (None, "it is empty"),
    (b'"' + b"x" * (1 << 20) + b'"', "an event at most 1,048,576"),
    ({"user": "u01"}, "it has no 'item' or 'item_id'"),
    ({"item": "i01"}, "it has no 'customer' or 'user' or 'user_id'"),
    (event("u01", "i01", time="soon"), "its time 'soon' is none that can be read"),
    (event("u01", "i01", time=-1), "time: Input should be greater"),
    (event("u01", "i01", behavior="byy"), "unknown behaviour 'byy'. Did you mean 'buy'?"),
    (event("u01", "i01", weight=-1), "weight: Input should be greater"),
    (event("u" * 2000, "i01"), "user: String should have at most"),
    (event("u01", ["i01"]), "item: Input should be a valid string"),
]


def test_one_bad_message_is_counted_and_named_and_stops_nothing(
    broker: Broker, topic: str, folder: Path, listen: Listen
) -> None:
    broker.send(topic, [event("u01", "i01")])
    broker.send(topic, [message for message, _ in WRONG])
    broker.send(topic, [event("u01", "i02")])
    code, _, err = listen(folder, broker.address, topic)
    assert code == 0 and f"2 events written, {len(WRONG)} wrong" in err
    lines = [line for line in err.splitlines() if line.startswith("passed over")]
    for offset, (line, (_, why)) in enumerate(zip(lines, WRONG, strict=True), 1):
        assert f"{topic}/0/{offset}@" in line and why in line
    assert [row["item_id"] for row in rows(folder)] == ["i01", "i02"]
    assert broker.committed(topic, "recsys-shop") == len(WRONG) + 2


def test_many_bad_messages_are_not_all_named(
    broker: Broker, topic: str, folder: Path, listen: Listen
) -> None:
    broker.send(topic, [b"x"] * 30)
    _, _, err = listen(folder, broker.address, topic)
    assert err.count("passed over") == 20 and "0 events written, 30 wrong" in err


def test_who_was_forgotten_is_not_written(
    broker: Broker, topic: str, folder: Path, listen: Listen
) -> None:
    Suppression("00").having("gone").save(folder / "suppressed.json")
    broker.send(topic, [event("gone", "i01"), event("u01", "i01")])
    assert "1 events written, 1 forgotten" in listen(folder, broker.address, topic)[2]
    assert "gone" not in (folder / "events.jsonl").read_text()


def test_columns_have_other_names(broker: Broker, topic: str, folder: Path, listen: Listen) -> None:
    broker.send(topic, [{"who": "u01", "what": "i01", "at": "2023-11-14T22:13:20Z", "no": 5}])
    names = ["--user-col", "who", "--item-col", "what", "--time-col", "at", "--id-col", "no"]
    assert listen(folder, broker.address, topic, *names)[0] == 0
    [row] = rows(folder)
    assert (row["user_id"], row["timestamp"], row["event_id"]) == ("u01", T0, "5")


def test_it_waits_for_more_until_it_is_stopped(broker: Broker, topic: str, folder: Path) -> None:
    with subprocess.Popen(
        command(folder, broker.address, topic), stderr=subprocess.PIPE, text=True
    ) as listener:
        try:
            for place in range(2):
                broker.send(topic, [event("u01", f"i0{place}")])
                wanted = place + 1
                eventually(lambda wanted=wanted: len(rows(folder)) == wanted, "nothing was written")
                eventually(
                    lambda wanted=wanted: broker.committed(topic, "recsys-shop") == wanted,
                    "nothing was committed",
                )
            listener.send_signal(signal.SIGTERM)
            _, err = listener.communicate(timeout=PATIENCE_SECONDS)
        finally:
            listener.kill()
    assert listener.returncode == 130
    assert f"{topic}: 2 events written" in err and "Traceback" not in err


def test_it_ends_after_so_many_messages(broker: Broker, topic: str, folder: Path) -> None:
    broker.send(topic, [event("u01", "i01")] * 3)
    words = command(folder, broker.address, topic, "--most", "2")
    subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    assert len(rows(folder)) >= 2


def test_what_cannot_be_written_is_not_committed(
    broker: Broker,
    topic: str,
    folder: Path,
    listen: Listen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(log: int, lines: bytes) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    broker.send(topic, [event("u01", "i01")])
    with monkeypatch.context() as patched:
        patched.setattr("serving.row_log._write", full)
        code, _, err = listen(folder, broker.address, topic)
    assert code == 1 and "events cannot be written" in err and "No space left" in err
    assert broker.committed(topic, "recsys-shop") < 0
    assert listen(folder, broker.address, topic)[0] == 0
    assert len(rows(folder)) == 1


def test_a_killed_listener_leaves_nothing_out_and_nothing_twice(
    broker: Broker, topic: str, folder: Path, listen: Listen
) -> None:
    """Killed wherever it is, between the file and the broker too."""
    broker.send(topic, [event(f"u{place}", "i01") for place in range(5000)])
    with subprocess.Popen(
        command(folder, broker.address, topic), stderr=subprocess.DEVNULL
    ) as listener:
        try:
            eventually(lambda: len(rows(folder)) > 0, "nothing was written")
        finally:
            listener.kill()
    assert listen(folder, broker.address, topic)[0] == 0
    assert sorted(row["user_id"] for row in rows(folder)) == sorted(f"u{n}" for n in range(5000))


def test_no_broker_is_one_clear_line(folder: Path, listen: Listen) -> None:
    pytest.importorskip("confluent_kafka")
    address = f"127.0.0.1:{free_port()}"
    code, out, err = listen(folder, address, "events")
    assert (code, out) == (1, "")
    assert f"cannot reach Kafka at {address}: " in err and "Connection refused" in err
    assert len(err.splitlines()) == 1


def test_an_unknown_topic_is_one_clear_line(
    broker: Broker, topic: str, folder: Path, listen: Listen
) -> None:
    code, _, err = listen(folder, broker.address, topic + "s")
    assert code == 1 and len(err.splitlines()) == 1
    assert f"there is no topic '{topic}s'" in err and f"Did you mean '{topic}'" in err


def test_credentials_come_by_the_environment_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, listen: Listen
) -> None:
    pytest.importorskip("confluent_kafka")
    code, _, err = listen(folder, "me:secret@127.0.0.1:1", "events")
    assert code == 2 and "KAFKA_SASL_PASSWORD" in err and "secret" not in err
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "carrier pigeon")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "hunter22")
    code, _, err = listen(folder, "127.0.0.1:1", "events")
    assert code == 2 and "carrier pigeon" in err and "hunter22" not in err


def test_a_bundle_has_no_events(bundle_path: Path, listen: Listen) -> None:
    code, _, err = listen(bundle_path, "127.0.0.1:1", "events")
    assert code == 2 and "--events" in err


NUMBERS = [T0, str(T0), float(T0), T0 * 1000, T0 * 10**6, T0 * 10**9]
TEXTS = ["2023-11-14T22:13:20", "2023-11-14T22:13:20Z", "2023-11-15T00:13:20+02:00"]


@pytest.mark.parametrize("value", [*NUMBERS, *TEXTS])
def test_times_of_every_usual_kind_are_read(value: object) -> None:
    assert _seconds(value) == T0


@pytest.mark.parametrize("value", [True, [], {}, "", "yesterday", 10**400])
def test_other_values_are_no_times(value: object) -> None:
    with pytest.raises(WrongMessage):
        _seconds(value)
