"""The service as an application meets it: a real server on loopback, asked over HTTP."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

from recsys.core.errors import UsageError
from recsys.core.ids import IdMap
from recsys.lookup.lookup import Lookup
from servers import ask, running
from serving.server import serve
from serving.settings import Settings
from worlds import make_contents, make_contents_with_genres, write_world


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


@pytest.mark.parametrize("user", ["a/b", "50%", "a b", "", "ü/../x", "?", "#"])
def test_ids_of_any_text_reach_lookup_by_get_and_by_post(address: str, user: str) -> None:
    by_get = ask(f"{address}/v1/recommend/{quote(user, safe='')}?k=3")
    by_post = ask(f"{address}/v1/recommend", {"requests": [{"user": user}], "k": 3})
    assert by_get == (200, by_post[1]["answers"][0])
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
    assert answer["items"][0]["parts"] == explained["parts"]
    assert answer["items"][0]["reasons"] == explained["reasons"]
    assert "Film" in explained["reasons"][0]["text"]
    assert answer["items"][0]["because"] == explained["because"] == explained["reasons"]
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
        ("/v1/explain", {"item": "i01", "user": "nobody"}, 400, "nobody"),
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
        ("/v1/recommend", b'{"requests": [{"user": "\\ud800"}]}', 422, "user"),
        ("/v1/recommend", b'{"requests": [{"\\ud800": 1}]}', 422, "requests"),
        ("/v1/recommend", b'{"requests": [{"attributes": {"\\ud800": ["x"]}}]}', 400, "attribute"),
        ("/v1/recommend", b"[" * 100_000, 400, "body"),
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
    assert set(problem) == {"type", "title", "status", "detail", "remedy"}


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
        assert (status, answer) == ask(f"{address}/v1/recommend", texts)
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
