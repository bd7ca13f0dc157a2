"""Who may ask what, how often, and from where."""

import re
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recsys.core.errors import ConfigError
from servers import ask, running
from serving.keys import Bucket, Keys, new_key
from serving.settings import Settings

BODY = {"requests": [{"user": "u01"}]}
EVENT = {"events": [{"user": "u01", "item": "i01"}]}
SCOPES = ("read", "events", "admin", "metrics")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = {scope: new_key(scope, (scope,)) for scope in SCOPES}
    made["slow"] = new_key("slow", ("read",), rate=0.001)
    made["file"] = (str(tmp_path_factory.mktemp("keys") / "keys.toml"), "")
    Path(made["file"][0]).write_text("".join(lines for _, lines in made.values()))
    return {name: token for name, (token, _) in made.items()}


@pytest.fixture(scope="module")
def guarded(
    tokens: dict[str, str], bundle_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    events = tmp_path_factory.mktemp("events") / "events.jsonl"
    settings = Settings(
        bundle_path, keys=Path(tokens["file"]), events=events, cors=("https://shop.example",)
    )
    with running(settings) as address:
        yield address


def with_key(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("path", "body", "scope"),
    [
        ("/v1/recommend/u01", None, "read"),
        ("/v1/recommend", BODY, "read"),
        ("/v1/model", None, "read"),
        ("/v1/events", EVENT, "events"),
        ("/v1/admin/reload", b"", "admin"),
    ],
)
def test_a_scope_opens_its_own_paths_alone(
    guarded: str, tokens: dict[str, str], path: str, body: Any, scope: str
) -> None:
    found = {name: ask(guarded + path, body, with_key(tokens[name]))[0] for name in SCOPES}
    assert found == {name: 200 if name == scope else 403 for name in found}


def test_figures_have_a_scope_of_their_own_and_keys_for_reading_keep_them(
    guarded: str, tokens: dict[str, str]
) -> None:
    found = {name: ask(f"{guarded}/metrics", headers=with_key(tokens[name]))[0] for name in SCOPES}
    assert found == {"metrics": 200, "read": 200, "events": 403, "admin": 403}


@pytest.mark.parametrize(
    "headers", [{}, with_key("wrong"), {"Authorization": "Basic abc"}, {"X-API-Key": ""}]
)
def test_without_a_known_key_nothing_is_told(guarded: str, headers: dict[str, str]) -> None:
    status, problem = ask(f"{guarded}/v1/recommend/u01", headers=headers)
    assert (status, problem["remedy"]) == (401, "Send the header: Authorization: Bearer KEY")


def test_the_other_header_works_too_and_probes_need_none(
    guarded: str, tokens: dict[str, str]
) -> None:
    assert ask(f"{guarded}/v1/recommend/u01", headers={"X-API-Key": tokens["read"]})[0] == 200
    assert [ask(guarded + path)[0] for path in ("/healthz", "/readyz", "/openapi.json")] == [
        200,
        200,
        200,
    ]


def test_an_exhausted_rate_limit_says_when_to_come_back(
    guarded: str, tokens: dict[str, str]
) -> None:
    found = [
        ask(f"{guarded}/v1/recommend/u01", headers=with_key(tokens["slow"])) for _ in range(11)
    ]
    assert [status for status, _ in found] == [200] * 10 + [429]
    assert "slow" in found[-1][1]["detail"]


def test_a_bucket_fills_with_time_that_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 0.0, 0.0, 0.5, 1.5])
    monkeypatch.setattr("serving.keys.time.monotonic", lambda: next(moments))
    bucket = Bucket(rate=1.0, burst=1)
    assert [bucket.take(), bucket.take(), bucket.take(), bucket.take()] == [0.0, 1.0, 0.5, 0.0]


def test_the_file_holds_no_key(tokens: dict[str, str]) -> None:
    text = Path(tokens["file"]).read_text()
    assert not any(tokens[name] in text for name in ("read", "events", "admin", "slow"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "keys = 3",
        "[[keys]]\nname = 'a'",
        "[[keys]]\nname = 'a'\nsha256 = 'short'\nscopes = ['read']",
        f"[[keys]]\nname = 'a'\nsha256 = '{'0' * 64}'\nscopes = ['all']",
        f"[[keys]]\nname = 'a'\nsha256 = '{'0' * 64}'\nscopes = ['read']\nrat = 5",
    ],
)
def test_a_file_of_keys_with_an_error_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"keys\.toml"):
        Keys(path)


def test_keys_come_and_go_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (first, one), (second, other) = new_key("one", ("read",)), new_key("other", ("admin",))
    path = tmp_path / "keys.toml"
    path.write_text(one)
    keys = Keys(path)
    path.write_text(one + other)
    keys.follow()
    assert [key.name for key in (keys.find(first), keys.find(second)) if key] == ["one", "other"]
    path.write_text(other)
    keys.follow()
    assert keys.find(first) is None
    path.write_text("keys = 3")
    keys.follow()
    keys.follow()
    assert keys.find(second) is not None
    assert caplog.text.count("kept the keys") == 1


def seconds(day: date, hours: float = 0.0) -> float:
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hours)
    return moment.timestamp()


def test_a_key_is_taken_until_its_last_day_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, lines = new_key("shop", ("read",), days=3)
    path = tmp_path / "keys.toml"
    path.write_text(lines)
    key = Keys(path).find(token)
    assert key is not None and key.expires is not None
    assert re.search(r"^expires = \d{4}-\d\d-\d\d$", lines, re.MULTILINE)  # a date of TOML
    monkeypatch.setattr("serving.keys.time.time", lambda: seconds(key.expires, hours=23.99))
    assert not key.is_expired()
    monkeypatch.setattr("serving.keys.time.time", lambda: seconds(key.expires, hours=24))
    assert key.is_expired()


def test_an_expired_key_is_told_so_and_counted(bundle_path: Path, tmp_path: Path) -> None:
    (old, old_lines), (fresh, fresh_lines) = new_key("old", ("read",)), new_key("new", ("read",))
    never, never_lines = new_key("never", ("metrics",))
    path = tmp_path / "keys.toml"
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    path.write_text(
        f"{old_lines}expires = 2026-01-31\n{fresh_lines}expires = {tomorrow}\n{never_lines}"
    )
    with running(Settings(bundle_path, keys=path)) as address:
        url = f"{address}/v1/recommend/u01"
        status, problem = ask(url, headers=with_key(old))
        assert (status, problem["detail"]) == (
            401,
            "key 'old' expired: 2026-01-31 was its last day",
        )
        assert "recsys key NAME --days" in problem["remedy"]
        assert [ask(url, headers=with_key(fresh))[0], ask(url)[0]] == [200, 401]
        figures = ask(f"{address}/metrics", headers=with_key(never))[1]
    until = dict(re.findall(r'^recsys_key_expiry_seconds\{key="(\w+)"\} (\S+)$', figures, re.M))
    assert set(until) == {"old", "new"}
    assert float(until["old"]) < 0 < float(until["new"]) < 2 * 86_400
    assert 'recsys_refused_keys_total{reason="expired"} 1.0' in figures
    assert 'recsys_refused_keys_total{reason="missing"} 1.0' in figures


def test_keys_that_expire_soon_are_named_once_a_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [new_key(name, ("read",), days=days)[1] for name, days in (("soon", 5), ("later", 30))]
    path = tmp_path / "keys.toml"
    path.write_text("".join(lines))
    keys = Keys(path)
    for _ in range(3):
        keys.follow()
    [message] = caplog.messages
    assert message.startswith("key 'soon' expires soon: its last day is ")
    today = datetime.now(UTC).date()
    monkeypatch.setattr("serving.keys.time.time", lambda: seconds(today, hours=24 * 8))
    keys.follow()
    keys.follow()
    assert [("has expired" in message) for message in caplog.messages] == [False, True]


def test_requests_without_a_key_are_limited_and_logged_now_and_then(
    bundle_path: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.admission._FAILURES_A_SECOND", 1e-6)
    monkeypatch.setattr("serving.admission._FAILURES_AT_ONCE", 3)
    token, lines = new_key("shop", ("read",))
    (tmp_path / "keys.toml").write_text(lines)
    with running(Settings(bundle_path, keys=tmp_path / "keys.toml")) as address:
        url = f"{address}/v1/recommend/u01"
        guesses = [ask(url, headers=with_key(f"guess {one}"))[0] for one in range(5)]
        assert guesses == [401, 401, 401, 429, 429]
        assert ask(url, headers=with_key(token))[0] == 200  # whoever has a key is not kept out
    told = [message for message in caplog.messages if message.startswith("refused 127.0.0.1")]
    assert told[0] == "refused 127.0.0.1: no known key (unknown)"
    assert len(told) < len(guesses)


def test_a_date_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(new_key("a", ("read",))[1] + 'expires = "soon"\n')
    with pytest.raises(ConfigError, match="expires"):
        Keys(path)


def test_there_is_no_such_scope() -> None:
    with pytest.raises(ConfigError, match="scopes"):
        new_key("x", ("everything",))


def test_without_keys_only_names_of_loopback_are_served(address: str) -> None:
    status, problem = ask(f"{address}/v1/recommend/u01", headers={"Host": "evil.example"})
    assert (status, "evil.example" in problem["detail"]) == (421, True)
    assert ask(f"{address}/v1/recommend/u01", headers={"Host": "localhost:1"})[0] == 200


def test_without_keys_no_page_from_elsewhere_may_ask(address: str) -> None:
    host = address.removeprefix("http://")
    reload = f"{address}/v1/admin/reload"
    for origin, wanted in (
        (address, 200),
        ("https://evil.example", 403),
        ("null", 403),
        (f"http://x@{host}", 403),
    ):
        assert ask(reload, method="POST", headers={"Origin": origin})[0] == wanted, origin


def test_pages_of_named_origins_may_ask_and_no_others(guarded: str) -> None:
    for origin, allowed in (
        ("https://shop.example", "https://shop.example"),
        ("https://evil.example", None),
    ):
        asked = urllib.request.Request(f"{guarded}/healthz", headers={"Origin": origin})
        with urllib.request.urlopen(asked) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == allowed


def test_every_answer_has_security_headers(address: str) -> None:
    with urllib.request.urlopen(f"{address}/v1/recommend/u01") as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "server" not in answer.headers
