"""The service as an application meets it: a real server on loopback, asked over HTTP."""

import gzip
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

from explaining import require_same_reasons
from recsys.core.errors import UsageError
from recsys.core.ids import IdMap
from recsys.lookup.lookup import Lookup
from servers import ask, connected, running, unnamed
from serving.keys import new_key
from serving.server import serve
from serving.settings import Settings
from worlds import GENRES, make_contents, make_contents_with_genres, write_world


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["id"] for one in answer["items"]]


def test_a_known_user_gets_what_lookup_gives(address: str, lookup: Lookup) -> None:
    status, answer = ask(f"{address}/v1/recommend/u03?k=5")
    assert status == 200
    assert answer["source"] == "model"
    assert ids(answer) == ids(lookup.recommend(["u03"], 5)[0])
    assert answer["model_version"] == lookup.bundle.path.name


def test_an_unknown_user_gets_the_popular_and_is_told_so(address: str) -> None:
    status, answer = ask(f"{address}/v1/recommend/{quote('nobody at all')}?k=3")
    assert (status, answer["source"], len(answer["items"])) == (200, "fallback", 3)
    assert answer["unknown"] == ["nobody at all"]


@pytest.mark.parametrize("user", ["a/b", "50%", "a b", "ü/../x", "?", "#"])
def test_ids_of_any_text_reach_lookup_by_get_and_by_post(address: str, user: str) -> None:
    by_get = ask(f"{address}/v1/recommend/{quote(user, safe='')}?k=3")
    by_post = ask(f"{address}/v1/recommend", {"requests": [{"user": user}], "k": 3})
    assert (by_get[0], unnamed(by_get[1])) == (200, unnamed(by_post[1]["answers"][0]))
    assert by_get[1]["unknown"] == [user]


def test_several_lists_at_once(address: str) -> None:
    body = {
        "requests": [
            {"user": "u01"},
            {"history": [{"item": "i01"}, {"item": "i02", "behavior": "view"}]},
            {},
        ],
        "k": 4,
        "deny": ["i05"],
    }
    status, answer = ask(f"{address}/v1/recommend", body)
    assert status == 200
    assert [one["source"] for one in answer["answers"]] == ["model", "fold_in", "fallback"]
    assert all("i05" not in ids(one) for one in answer["answers"])


def test_one_wrong_request_of_several_fails_itself_alone(address: str) -> None:
    wrong = {"history": [{"item": "i01", "behavior": "lend"}]}
    status, found = ask(f"{address}/v1/recommend", {"requests": [{"user": "u01"}, wrong], "k": 3})
    good, refused = found["answers"]
    assert (status, len(good["items"]), good["source"]) == (200, 3, "model")
    assert (refused["items"], refused["source"]) == ([], "refused")
    assert "unknown behaviour 'lend'" in refused["note"]


@pytest.mark.parametrize("option", ["k", "offset", "popularity", "diversity", "moment"])
def test_true_and_false_are_no_numbers(address: str, option: str) -> None:
    body = {"requests": [{"user": "u01"}], option: option == "k"}
    status, problem = ask(f"{address}/v1/recommend", body)
    assert status == 422 and option in problem["detail"] and "true or false" in problem["detail"]


def test_a_visitor_may_bring_attributes(address: str, lookup: Lookup) -> None:
    body = {"requests": [{"attributes": {"country": ["de"]}}], "k": 4}
    [answer] = ask(f"{address}/v1/recommend", body)[1]["answers"]
    assert ids(answer) == ids(lookup.recommend(attributes=[{"country": "de"}], k=4)[0])
    _, explained = ask(
        f"{address}/v1/explain",
        {"attributes": {"country": ["de"]}, "item": answer["items"][0]["id"]},
    )
    assert explained["parts"][0]["id"] == "de"
    status, problem = ask(
        f"{address}/v1/recommend", {"requests": [{"attributes": {"country": ["atlantis"]}}]}
    )
    assert (status, "atlantis" in problem["detail"]) == (400, True)


def test_pages_continue_each_other(address: str) -> None:
    _, whole = ask(f"{address}/v1/recommend/u01?k=6")
    _, second = ask(f"{address}/v1/recommend/u01?k=3&offset=3")
    assert second["items"] == whole["items"][3:]


def test_reasons_come_on_request(address: str) -> None:
    _, answer = ask(f"{address}/v1/recommend/u01?k=2&explain=true")
    _, explained = ask(f"{address}/v1/explain?user=u01&item={answer['items'][0]['id']}&parts=3")
    parts = [{**part, "share": pytest.approx(part["share"])} for part in explained["parts"]]
    assert answer["items"][0]["parts"] == parts
    require_same_reasons(answer["items"][0]["reasons"], explained["reasons"])
    assert "Film" in explained["reasons"][0]["text"]
    assert answer["items"][0]["because"] == answer["items"][0]["reasons"]
    assert explained["because"] == explained["reasons"]
    _, popular = ask(f"{address}/v1/recommend/nobody?k=1&explain=true")
    assert popular["items"][0]["reasons"][0]["text"] == "popular"


def test_similar_items_and_users_by_get_and_post(address: str) -> None:
    for path, field, one in (("similar", "item", "i01"), ("similar-users", "user", "u01")):
        by_get = ask(f"{address}/v1/{path}/{one}?k=3")
        assert by_get == ask(f"{address}/v1/{path}", {field: one, "k": 3})
        assert len(by_get[1]["items"]) == 3


def test_reasons_add_up(address: str) -> None:
    status, reasons = ask(f"{address}/v1/explain", {"user": "u01", "item": "i02", "parts": 2})
    assert status == 200
    total = sum(part["share"] for part in reasons["parts"]) + reasons["others"] + reasons["rest"]
    assert total == pytest.approx(reasons["score"], abs=1e-5)
    by_get = ask(f"{address}/v1/explain?user=u01&item=i02&parts=2&popularity=0.5")[1]
    assert (
        by_get
        == ask(
            f"{address}/v1/explain", {"user": "u01", "item": "i02", "parts": 2, "popularity": 0.5}
        )[1]
    )
    assert by_get["score"] == pytest.approx(reasons["score"] + by_get["popularity"], abs=1e-5)
    _, answer = ask(f"{address}/v1/recommend/u01?k=40&exclude_seen=false&popularity=0.5")
    [listed] = [item["score"] for item in answer["items"] if item["id"] == "i02"]
    assert by_get["score"] == pytest.approx(listed, abs=1e-5)


def test_items_and_users_are_found_by_a_part_of_their_text(address: str) -> None:
    _, found = ask(f"{address}/v1/items?text=FILM%203&k=40")
    assert {one["id"] for one in found["items"]} == {"i03", *(f"i3{place}" for place in range(10))}
    assert ask(f"{address}/v1/users?text=u1&k=2")[1]["users"] == ["u10", "u11"]
    assert ask(f"{address}/v1/items/i07")[1]["available"] is False
    both = ask(f"{address}/v1/items", {"items": ["i07", "nothing"]})[1]
    assert ([one["title"] for one in both["items"]], both["unknown"]) == (["Film 7"], ["nothing"])


@pytest.mark.parametrize(
    ("path", "body", "code", "told"),
    [
        ("/v1/similar/i99999", None, 404, "i99999"),
        ("/v1/similar-users/nobody", None, 404, "nobody"),
        ("/v1/items/i99999", None, 404, "i99999"),
        ("/v1/explain?user=u01&item=i99999", None, 404, "i99999"),
        ("/v1/explain", {"item": "i01", "user": "nobody"}, 404, "nobody"),
        ("/v1/recommend/u01?k=0", None, 422, "k"),
        ("/v1/recommend/u01?k=99999999999999999999", None, 422, "k"),
        ("/v1/recommend/u01?popularity=nan", None, 422, "popularity"),
        ("/v1/recommend/u01?filter=genre", None, 422, "filter"),
        ("/v1/recommend/u01?category=shoes", None, 400, "category"),
        ("/v1/recommend/u01?rank=5", None, 422, "rank"),
        ("/v1/recommend", {"requests": []}, 422, "requests"),
        ("/v1/recommend", {"requests": [{"usr": "x"}]}, 422, "usr"),
        (
            "/v1/recommend",
            {"requests": [{"history": [{"item": "i01", "behavior": "lend"}]}]},
            400,
            "lend",
        ),
        (
            "/v1/recommend",
            b'{"requests": [{"history": [{"item": "i01", "time": NaN}]}]}',
            422,
            "time",
        ),
        ("/v1/recommend", {"requests": [{"user": 5.5}]}, 422, "user"),
        ("/v1/recommend", b"{", 422, "JSON"),
        ("/v1/recommend", b'{"requests": [{"user": "\\ud800"}]}', 422, "Invalid JSON"),
        ("/v1/recommend", b'{"requests": [{"\\ud800": 1}]}', 422, "Invalid JSON"),
        (
            "/v1/recommend",
            b'{"requests": [{"attributes": {"\\ud800": ["x"]}}]}',
            422,
            "Invalid JSON",
        ),
        ("/v1/recommend", b"[" * 100_000, 422, "recursion"),
        ("/v1/events", {"events": [{"user": "u01", "item": "i01"}]}, 404, "events"),
        ("/nowhere", None, 404, "/nowhere"),
        ("/v1/model", {}, 405, "POST"),
    ],
)
def test_wrong_requests_are_explained(
    address: str, path: str, body: Any, code: int, told: str
) -> None:
    status, problem = ask(address + path, body)
    assert status == code
    assert told in problem["detail"]
    assert problem["remedy"]
    assert problem["remedy"] or code == 405
    assert set(problem) == {"type", "code", "title", "status", "detail", "remedy"}


def test_health_readiness_and_model(address: str, lookup: Lookup) -> None:
    assert ask(f"{address}/healthz") == (200, {"status": "ok"})
    version = lookup.bundle.path.name
    assert ask(f"{address}/readyz") == (200, {"status": "ready", "model_version": version})
    status, model = ask(f"{address}/v1/model")
    assert (status, model["users"], model["items"], model["behaviors"]) == (
        200,
        30,
        40,
        ["view", "buy"],
    )


def test_prometheus_is_told_of_routes_sources_and_the_bundle(address: str, lookup: Lookup) -> None:
    for user in ("u01", "nobody"):
        ask(f"{address}/v1/recommend/{user}")
    _, text = ask(f"{address}/metrics")
    for line in (
        'recsys_answers_total{source="model"}',
        'recsys_answers_total{source="fallback"}',
        "recsys_unknown_ids_total",
        "recsys_bundle_age_seconds",
        "recsys_score_drift",
        f'recsys_bundle_info{{model_version="{lookup.bundle.path.name}"}} 1.0',
        'recsys_request_seconds_count{method="GET",route="/v1/recommend/{user:path}",status="200"}',
    ):
        assert line in text


def test_it_binds_to_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"0\.0\.0\.0"):
        serve(Settings(tmp_path, host="0.0.0.0"))


def test_pages_of_anybody_may_not_ask_without_keys(bundle_path: Path) -> None:
    with pytest.raises(UsageError, match="Name the origins of your pages"):
        serve(Settings(bundle_path, cors=("*",)))


def test_it_starts_without_torch_and_dgl() -> None:
    code = "import sys, serving.server; print([name for name in ('torch', 'dgl', 'pandas') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_integer_ids_may_be_sent_as_numbers(tmp_path: Path) -> None:
    """Of a log of integers; what is no whole number is no id."""
    contents = make_contents()
    log = contents.interactions
    users, items = (
        IdMap(pl.Series([str(one + 100) for one in range(count)]), kind)
        for count, kind in ((len(log.users), "user"), (len(log.items), "item"))
    )
    changed = replace(contents, interactions=replace(log, users=users, items=items))
    body = {"requests": [{"user": 104}], "k": 3, "deny": [101, "102"]}
    with running(Settings(write_world(tmp_path, changed))) as address:
        status, answer = ask(f"{address}/v1/recommend", body)
        texts = {"requests": [{"user": "104"}], "k": 3, "deny": ["101", "102"]}
        assert unnamed(answer) == unnamed(ask(f"{address}/v1/recommend", texts)[1])
        assert (status, answer["answers"][0]["source"]) == (200, "model")
        visitor = {"history": [{"item": 103}], "item": 105}
        assert ask(f"{address}/v1/explain", visitor)[0] == 200
        for wrong in (1.5, True, None, [1]):
            assert ask(f"{address}/v1/similar", {"item": wrong})[0] == 422


def test_options_are_those_of_lookup(address: str, lookup: Lookup) -> None:
    names = {"exclude_seen": ["view"], "allow": ["i01", "i02", "i03"], "filters": {}}
    body = {"requests": [{"user": "u04"}], "k": 40, **names}
    [answer] = ask(f"{address}/v1/recommend", body)[1]["answers"]
    [expected] = lookup.recommend(["u04"], 40, **names)
    assert ids(answer) == ids(expected)
    query = "k=40&exclude_seen=false&allow=i01&allow=i02&deny=i02"
    _, answer = ask(f"{address}/v1/recommend/u04?{query}")
    assert ids(answer) == ["i01"]


def test_the_old_name_of_filters_is_understood_and_deprecated(tmp_path: Path) -> None:
    with running(Settings(write_world(tmp_path, make_contents_with_genres()))) as address:
        url = f"{address}/v1/recommend/u04?k=40"
        new, old = (ask(f"{url}&{name}=genres:drama")[1] for name in ("filters", "filter"))
        both = ask(f"{url}&filters=genres:drama&filter=genres:sci-fi")[1]
        document = ask(f"{address}/openapi.json")[1]
    assert ids(new) == ids(old) and 0 < len(ids(new)) < len(ids(both))
    parameters = document["paths"]["/v1/recommend/{user}"]["get"]["parameters"]
    assert [one["name"] for one in parameters if one.get("deprecated")] == ["filter"]
    item = document["components"]["schemas"]["Item"]["properties"]
    assert item["because"]["deprecated"] and "deprecated" not in item["reasons"]


def test_items_come_with_columns_of_their_table(tmp_path: Path) -> None:
    path = write_world(tmp_path, make_contents_with_genres())
    with running(Settings(path)) as address:
        by_get = ask(f"{address}/v1/recommend/u01?k=2&include=genres&include=title")[1]
        body = {"requests": [{"user": "u01"}], "k": 2, "include": ["genres", "title"]}
        by_post = ask(f"{address}/v1/recommend", body)[1]["answers"][0]
        wrong = ask(f"{address}/v1/recommend/u01?include=genre")
    assert unnamed(by_get) == unnamed(by_post)
    for item in by_get["items"]:
        number = int(item["id"][1:])
        assert item["fields"] == {"genres": GENRES[number % 3], "title": f"Film {number}"}
    assert (wrong[0], wrong[1]["remedy"]) == (400, "Did you mean 'genres'?")


def test_what_is_known_of_a_user(bundle_path: Path, lookup: Lookup, tmp_path: Path) -> None:
    bundle = lookup.bundle
    seen = set()
    for name, matrix in bundle.seen.items():
        for item in bundle.items.external(matrix[3].indices):
            seen.add((name, item))
    with running(Settings(bundle_path, events=tmp_path / "events.jsonl")) as address:
        ask(f"{address}/v1/events", {"events": [{"user": "u03", "item": "i01"}]})
        status, found = ask(f"{address}/v1/users/u03?k=1000")
        assert ask(f"{address}/v1/users", {"user": "u03", "k": 1000}) == (status, found)
        ask(f"{address}/v1/events", {"events": [{"user": "new", "item": "x", "behavior": "view"}]})
        new = ask(f"{address}/v1/users/new")[1]
        assert ask(f"{address}/v1/users/nobody")[0] == 404
        assert len(ask(f"{address}/v1/users/u03?k=2")[1]["events"]) == 2
    assert (status, found["known"], found["live"]) == (200, True, 1)
    assert found["events"][0]["live"] and found["events"][0]["title"] == "Film 1"
    learnt = found["events"][1:]
    assert len(learnt) == found["learnt"]
    assert {(one["behavior"], one["item"]) for one in learnt} == seen
    times = [one["time"] for one in learnt]
    assert times == sorted(times, reverse=True)
    assert (new["known"], new["learnt"], new["live"]) == (False, 0, 1)
    assert (new["events"][0]["item"], new["events"][0]["behavior"]) == ("x", "view")


def test_the_description_names_keys_and_short_operations(
    address: str, bundle_path: Path, tmp_path: Path
) -> None:
    document = ask(f"{address}/openapi.json")[1]
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(names) == len(set(names)) and {"recommend", "send_events", "user"} <= set(names)
    assert {} in document["security"]
    _, lines = new_key("shop", ["read"])
    (tmp_path / "keys.toml").write_text(lines)
    with running(Settings(bundle_path, keys=tmp_path / "keys.toml")) as guarded:
        document = ask(f"{guarded}/openapi.json")[1]
    assert document["security"] == [{"bearer": []}, {"header": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}


def test_head_and_the_methods_that_a_path_takes(address: str) -> None:
    with connected(address) as client:
        client.sendall(b"HEAD /v1/items/i01 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = client.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")
        client.sendall(b"PUT /v1/items HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = client.recv(65_536).lower()
    assert answer.startswith(b"http/1.1 405") and b"allow: get, head, post\r\n" in answer


def test_what_does_not_change_is_not_sent_again(address: str) -> None:
    for path in ("/v1/model", "/v1/attributes", "/openapi.json", "/page/app.js"):
        with urllib.request.urlopen(address + path) as first:
            tag, control = first.headers["etag"], first.headers["cache-control"]
        assert "no-cache" in control
        again = urllib.request.Request(address + path, headers={"If-None-Match": tag})
        with pytest.raises(urllib.error.HTTPError) as not_modified:
            urllib.request.urlopen(again)
        with not_modified.value as answer:
            assert (answer.code, answer.read()) == (304, b"")


def test_long_answers_are_packed_for_those_who_can_read_it(address: str) -> None:
    path = f"{address}/openapi.json"
    request = urllib.request.Request(path, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request) as packed, urllib.request.urlopen(path) as plain:
        body, whole = packed.read(), plain.read()
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
    assert gzip.decompress(body) == whole and len(body) < len(whole) / 4
