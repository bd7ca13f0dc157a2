"""What the load client sends, and what is made of its figures."""

import json

import pytest

from benchmarks.visitor_http import figures, requests

http_load = pytest.importorskip("benchmarks.http_load")


def test_a_path_is_asked_for_and_a_path_with_json_is_posted() -> None:
    assert (
        http_load.request_of("/readyz?k=1")
        == b"GET /readyz?k=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    )
    head, _, body = http_load.request_of('/v1/recommend {"user": "Zoë"}').partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/recommend HTTP/1.1\r\n")
    assert json.loads(body) == {"user": "Zoë"}
    assert f"Content-Length: {len(body)}".encode() in head


def test_visitors_have_as_many_different_events_as_asked() -> None:
    asked = requests(7, seed=3)
    assert len({len(paths) for paths in asked.values()}) == 1
    for visitor, member, by_name in zip(*asked.values(), strict=True):
        [query] = json.loads(visitor.partition(" ")[2])["requests"]
        assert len({event["item"] for event in query["history"]}) == 7
        [query] = json.loads(member.partition(" ")[2])["requests"]
        assert by_name == f"/v1/recommend/{query['user']}?k=10"
    assert requests(7, seed=3) == asked


def test_the_median_visitor_is_set_over_the_median_member() -> None:
    def rounds(*processor: float) -> list[dict[str, float]]:
        return [
            {"processor_ms": value, "requests_per_second": 100.0, "failed": 1.0}
            for value in processor
        ]

    found = figures(
        {"visitor": rounds(3, 1, 2), "member": rounds(1, 9, 1.6), "member_by_get": rounds(4)}
    )
    assert (found["visitor_over_member"], found["visitor_over_member_by_get"]) == (1.25, 0.5)
    assert found["failed"] == 7
