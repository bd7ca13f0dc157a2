"""Requests of a batch are read, encoded and explained together: each is answered as it is alone."""

import pytest

from explaining import require_same_reasons
from recsys.lookup.lookup import Event, ListOptions, Lookup, Query

QUERIES = [
    Query("u01"),
    Query(None, ["i03", Event("i05", "view"), Event("i08", "buy", 1e9)]),
    Query("u04", [Event("i09"), Event("i02", "view", 4e9)]),  # of the far future
    Query(None, [Event("i11"), Event("i12")]),  # just now
    Query("stranger"),
    Query(None, [], {"country": "de"}),
    Query("u05", [Event("i13", "sold")]),  # no behaviour of the log
    Query("u02", ["i07"]),
]


@pytest.mark.parametrize("explain", [False, True])
def test_in_a_batch_as_alone(lookup: Lookup, explain: bool) -> None:
    options = ListOptions(k=5, explain=explain)
    together = lookup.answer(QUERIES, options, "popularity")
    for query, answer in zip(QUERIES, together, strict=True):
        if answer["source"] == "refused":
            assert "sold" in answer["note"]
            continue
        [alone] = lookup.answer([query], options, "popularity")
        assert answer["source"] == alone["source"] and answer["unknown"] == alone["unknown"]
        assert [item["id"] for item in answer["items"]] == [item["id"] for item in alone["items"]]
        for item, same in zip(answer["items"], alone["items"], strict=True):
            assert item["score"] == pytest.approx(same["score"], abs=1e-5)
            if explain:
                require_same_reasons(item["reasons"], same["reasons"])
    sources = [answer["source"] for answer in together]
    assert sources == [
        "model", "fold_in", "fold_in", "fold_in", "fallback", "attributes", "refused", "fold_in",
    ]  # fmt: skip
