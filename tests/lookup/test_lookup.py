"""Answers in outside ids: who gets what, what is left out, what is said about the unknown."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from boosts import naive_factor
from recsys.bundle.parts.encoding import Encoding
from recsys.bundle.parts.scoring import Scoring
from recsys.bundle.parts.similar_items import SimilarItems
from recsys.core.errors import UsageError
from recsys.core.tables import ITEM_ID, RANK, SCORE, USER_ID
from recsys.lookup.lookup import Event, Lookup


def ids(answer):
    return [item["id"] for item in answer["items"]]


def naive_list(lookup, vector, hidden, k):
    """Best available items for a vector by plain sorting; the withdrawn item 7 never appears."""
    scores = lookup.bundle.item_vectors @ vector
    order = sorted(
        (i for i in range(40) if i != 7 and i not in hidden), key=lambda i: (-scores[i], i)
    )
    return [f"i{i:02}" for i in order[:k]]


def seen_of(lookup, user, behavior="buy"):
    return set(lookup.bundle.seen[behavior][user].indices.tolist())


def test_known_users_get_their_trained_vector(lookup):
    answers = lookup.recommend(["u04", "u17"], 6)
    for answer, user in zip(answers, (4, 17), strict=True):
        vector = lookup.bundle.user_vectors[user]
        assert ids(answer) == naive_list(lookup, vector, seen_of(lookup, user), 6)
        assert (answer["source"], answer["unknown"]) == ("model", [])
        assert [item["rank"] for item in answer["items"]] == [1, 2, 3, 4, 5, 6]
        assert answer["items"][0]["title"] == f"Film {int(ids(answer)[0][1:])}"
        dense = [int(one[1:]) for one in ids(answer)]
        scores = [item["score"] for item in answer["items"]]
        assert np.allclose(scores, lookup.bundle.item_vectors[dense] @ vector, atol=1e-6)


def test_what_counts_as_seen(lookup):
    vector = lookup.bundle.user_vectors[4]
    bought, viewed = seen_of(lookup, 4), seen_of(lookup, 4, "view")
    for asked, hidden in [
        (True, bought),
        (False, set()),
        (["view"], viewed),
        (["view", "buy"], viewed | bought),
    ]:
        [answer] = lookup.recommend(["u04"], 40, exclude_seen=asked)
        assert ids(answer) == naive_list(lookup, vector, hidden, 40)
    with pytest.raises(UsageError, match=r"unknown behaviour 'views'.*'view'"):
        lookup.recommend(["u04"], exclude_seen=["views"])


def test_allow_and_deny(lookup):
    [answer] = lookup.recommend(
        ["u04"],
        3,
        exclude_seen=False,
        allow=["i07", "i01", "i02", "i03", "nope"],
        deny=["i02", "zzz"],
    )
    assert sorted(ids(answer)) == ["i01", "i03"]  # i07 is withdrawn
    assert answer["unknown"] == ["nope", "zzz"]
    assert answer["note"] == "3 were asked for, 2 may be recommended"
    [empty] = lookup.recommend(["u04"], 3, allow=[])
    assert empty["items"] == []


def test_k_beyond_the_catalogue(lookup):
    [answer] = lookup.recommend(["u04"], 1_000, exclude_seen=False)
    assert len(answer["items"]) == 39
    assert answer["note"] == "1000 were asked for, 39 may be recommended"
    assert "note" not in lookup.recommend(["u04"], 5)[0]
    with pytest.raises(UsageError, match="k = 0"):
        lookup.recommend(["u04"], 0)


def test_visitors_are_folded_in(lookup):
    history = ["i03", Event("i05", "view"), "gone"]
    [answer] = lookup.recommend(histories=[history], k=4)
    assert (answer["source"], answer["unknown"]) == ("fold_in", ["gone"])
    assert ids(answer) == naive_list(lookup, lookup.fold_in(history), {3, 5}, 4)
    [again] = lookup.recommend(histories=[history], k=40, exclude_seen=False)
    assert {"i03", "i05"} <= set(ids(again))
    with pytest.raises(UsageError, match=r"unknown behaviour 'veiw'.*'view'"):
        lookup.recommend(histories=[[Event("i03", "veiw")]])
    for behavior in (["view"], {"view": 1}, 3):
        with pytest.raises(UsageError, match="unknown behaviour"):
            lookup.recommend(histories=[[Event("i03", behavior)]])
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="has weight"):
            lookup.recommend(histories=[[Event("i03", weight=weight)]])


def test_a_known_user_without_new_events_is_exactly_the_trained_one(lookup):
    [plain], [visited] = lookup.recommend(["u04"], 9), lookup.recommend(["u04"], 9, histories=[[]])
    assert plain == visited
    [unknown_only] = lookup.recommend(["u04"], 9, histories=[["gone"]])
    assert unknown_only["items"] == plain["items"]
    assert unknown_only["unknown"] == ["gone"]


def test_a_known_user_with_new_events(lookup):
    seen = seen_of(lookup, 4)
    bought, viewed = 1, 2
    assert not {bought, viewed} & seen
    history = [f"i{bought:02}", Event(f"i{viewed:02}", "view")]
    neighbours = {name: matrix[4].tolil() for name, matrix in lookup.bundle.neighbours.items()}
    neighbours["rev_buy"][0, bought] += 1
    neighbours["rev_view"][0, viewed] += 1
    rows = {name: row.tocsr() for name, row in neighbours.items()}
    vector = lookup.encoder.encode(rows, lookup.bundle.user_self[4:5])[0]
    [answer] = lookup.recommend(["u04"], 40, histories=[history])
    assert answer["source"] == "fold_in"
    assert ids(answer) == naive_list(lookup, vector, seen | {bought}, 40)  # only "buy" hides


def test_new_events_hide_their_items(lookup):
    """Of the items that would be listed: what was bought is hidden, what was viewed is not unless
    asked for.
    """
    for user in ("u04", "u11", "u23"):
        first, second = ids(lookup.recommend([user], 2)[0])
        history = [first, Event(second, "view")]
        asked = {"k": 40, "histories": [history]}
        shown, hidden, both = (
            set(ids(lookup.recommend([user], exclude_seen=exclude, **asked)[0]))
            for exclude in (False, True, ["buy", "view"])
        )
        assert {first, second} <= shown
        assert first not in hidden and second in hidden
        assert not {first, second} & both


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"users": "u04"}, r"users = 'u04' is no list.*users=\['u04'\]"),
        ({"histories": ["i03"]}, r"history = 'i03' is no list.*history=\['i03'\]"),
        ({"friends": ["u04"]}, "friends"),
        ({"histories": [[Event("i03", time="2024-01-01")]]}, "has time '2024-01-01'.*unix seconds"),
        ({"histories": [[Event("i03", weight="2")]]}, "has weight '2'.*finite number"),
        ({"histories": [[Event("i03", weight=None)]]}, "has weight None"),
    ],
)
def test_values_of_the_wrong_kind_are_named(lookup, asked, told):
    with pytest.raises(UsageError, match=told):
        lookup.recommend(**asked)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -float("inf")])
def test_times_that_cannot_be_are_refused(lookup, time):
    for users in (None, ["u04"]):
        with pytest.raises(UsageError, match=r"the event of 'i03' has time .*None for an event"):
            lookup.recommend(users, histories=[[Event("i03", time=time)]])
    assert lookup.recommend(histories=[[Event("i03", time=None)]])[0]["source"] == "fold_in"


def test_a_visitor_with_attributes_equals_a_user_with_these_neighbours(lookup):
    neighbours = {name: matrix[5].toarray() for name, matrix in lookup.bundle.neighbours.items()}
    history = [f"i{item:02}" for item in np.flatnonzero(neighbours["rev_buy"])]
    history += [Event(f"i{item:02}", "view") for item in np.flatnonzero(neighbours["rev_view"])]
    rows = {name: matrix[5] for name, matrix in lookup.bundle.neighbours.items()}
    expected = lookup.encoder.encode(rows)[0]
    assert np.allclose(lookup.fold_in(history, {"country": "fr"}), expected, atol=1e-6)
    assert not np.allclose(lookup.fold_in(history, {"country": "de"}), expected, atol=1e-3)
    assert not np.allclose(lookup.fold_in(history), expected, atol=1e-3)
    [answer] = lookup.recommend(histories=[history], attributes=[{"country": " fr "}], k=4)
    assert ids(answer) == naive_list(
        lookup, expected, set(np.flatnonzero(neighbours["rev_buy"] + neighbours["rev_view"])), 4
    )


def test_attributes_alone_are_enough_for_a_list(lookup):
    several = lookup.fold_in([], {"country": ["it", "de", "it"]})
    row = sparse.csr_matrix(np.array([[1.0, 0.0, 1.0]], np.float32))
    assert np.allclose(several, lookup.encoder.encode({"rev_country": row})[0], atol=1e-6)
    [answer] = lookup.recommend(attributes=[{"country": ["it", "de"]}], k=4)
    assert (answer["source"], ids(answer)) == ("attributes", naive_list(lookup, several, set(), 4))


def test_attributes_of_a_known_user_take_the_place_of_the_old(lookup):
    [plain], [same], [moved] = (
        lookup.recommend(["u05"], 40, **more) for more in ({}, said("fr"), said("de"))
    )
    assert np.allclose(
        [one["score"] for one in plain["items"]], [one["score"] for one in same["items"]], atol=1e-5
    )
    rows = {name: matrix[5] for name, matrix in lookup.bundle.neighbours.items()}
    rows["rev_country"] = lookup.bundle.neighbours["rev_country"][4]  # "de", as of user 4
    vector = lookup.encoder.encode(rows, lookup.bundle.user_self[5:6])[0]
    assert ids(moved) == naive_list(lookup, vector, seen_of(lookup, 5), 40)


def said(country):
    return {"attributes": [{"country": country}]}


def test_unknown_attributes_are_refused(lookup, bundle):
    with pytest.raises(UsageError, match=r"unknown user attribute 'contry'.*'country'"):
        lookup.fold_in([], {"contry": "fr"})
    with pytest.raises(UsageError, match=r"no user had country = 'xx'.*'de', 'fr', 'it'"):
        lookup.fold_in(["i03"], {"country": "xx"})
    with pytest.raises(UsageError, match="1 histories and 2 attributes"):
        lookup.recommend(histories=[[]], attributes=[{}, {}])
    encoder = replace(bundle.encoder, relations=bundle.encoder.relations[:2])
    changed = bundle.with_parts(replace(bundle.parts[Encoding], encoder=encoder))
    with pytest.raises(UsageError, match=r"no attributes of users.*graph\.attributes"):
        Lookup(changed).fold_in([], {"country": "fr"})


def test_the_unknown_are_refused_with_the_nearest_or_declared(lookup):
    with pytest.raises(UsageError, match=r"unknown user 'u4'.*'u04'"):
        lookup.recommend(["u4"])
    with pytest.raises(UsageError, match=r"none of the items \['i303'\] is known.*'i03'"):
        lookup.recommend(histories=[["i303"]])
    with pytest.raises(UsageError, match="no event that the model uses"):
        lookup.recommend(histories=[[]])
    with pytest.raises(UsageError, match="nobody"):
        lookup.recommend()
    with pytest.raises(UsageError, match="2 users and 1 histories"):
        lookup.recommend(["u01", "u02"], histories=[[]])


def test_the_fallback_is_popularity_and_says_so(lookup):
    answers = lookup.recommend(["u04", "stranger"], 5, fallback="popularity", deny=["i00"])
    assert [answer["source"] for answer in answers] == ["model", "fallback"]
    assert answers[1]["unknown"] == ["stranger"]
    counts = lookup.bundle.popularity[lookup.bundle.segments.index("buy")]
    order = sorted((i for i in range(40) if i not in (0, 7)), key=lambda i: (-counts[i], i))
    assert ids(answers[1]) == [f"i{i:02}" for i in order[:5]]
    assert answers[1]["items"][0]["score"] == pytest.approx(counts[order[0]] / 30)
    [known] = lookup.recommend(["stranger"], 5, histories=[["i03"]], fallback="popularity")
    assert (known["source"], known["unknown"]) == ("fold_in", ["stranger"])


def test_one_unknown_user_does_not_end_a_batch(lookup):
    known, unknown, other = lookup.recommend(["u04", "u4", "u05"], 5)
    assert [known, other] == lookup.recommend(["u04", "u05"], 5)
    assert (unknown["items"], unknown["source"], unknown["unknown"]) == ([], "refused", ["u4"])
    assert unknown["note"].startswith("unknown user 'u4'") and "'u04'" in unknown["note"]
    with pytest.raises(UsageError, match="unknown user 'u4'"):
        lookup.recommend(["u4", "u5"], 5)


def test_similar_items_and_users(lookup):
    items, users = lookup.bundle.item_vectors, lookup.bundle.user_vectors
    [answer] = lookup.similar_items(["i03"], 4)
    cosines = items @ items[3]
    order = sorted((i for i in range(40) if i not in (3, 7)), key=lambda i: (-cosines[i], i))
    assert ids(answer) == [f"i{i:02}" for i in order[:4]]
    [found] = lookup.similar_users(["u03"], 4)
    cosines = users @ users[3]
    order = sorted((i for i in range(30) if i != 3), key=lambda i: (-cosines[i], i))
    assert [user["id"] for user in found] == [f"u{i:02}" for i in order[:4]]
    assert "title" not in found[0]
    assert len(lookup.similar_users(["u03"], 99)[0]) == 29
    with pytest.raises(UsageError, match="unknown item 'i3'"):
        lookup.similar_items(["i3"])


@pytest.mark.parametrize("item", ["i03", "i07", "i20"])
def test_similar_items_for_a_visitor_with_the_one_alone(bundle, item):
    """Where the bundle says so; the explanation of such a visitor is that of the score."""
    lookup = Lookup(bundle.with_parts(SimilarItems("visitor")))
    [answer] = lookup.similar_items([item], 40)
    [visitor] = lookup.recommend(histories=[[item]], k=40)
    assert answer["items"] == visitor["items"] and answer["source"] == "fold_in"
    found = {entry["id"] for entry in answer["items"]}
    assert item not in found and "i07" not in found  # itself, and what is withdrawn
    assert answer["note"] == f"40 were asked for, {len(found)} may be recommended"
    for entry in answer["items"][:3]:
        why = lookup.explain(None, entry["id"], history=[item])
        assert why["score"] == pytest.approx(entry["score"], abs=1e-5)
    several = lookup.similar_items(["i01", item], 5)
    assert ids(several[1]) == ids(answer)[:5]
    with pytest.raises(UsageError, match="unknown item 'i3'"):
        lookup.similar_items(["i3"])


def test_similar_items_go_by_the_vectors_where_nothing_else_was_chosen(bundle):
    assert bundle.parts.get(SimilarItems) is None
    chosen = Lookup(bundle.with_parts(SimilarItems("vectors")))
    assert chosen.similar_items(["i03"], 9) == Lookup(bundle).similar_items(["i03"], 9)
    assert Lookup(bundle).similar_items(["i03"], 9)[0]["source"] == "model"


def test_likeness_is_cosine_whatever_the_lengths(bundle):
    stretch = np.linspace(0.5, 3, 40, dtype=np.float32)[:, None]
    scoring = replace(bundle.parts[Scoring], item_vectors=bundle.item_vectors * stretch)
    stretched = Lookup(bundle.with_parts(scoring))
    assert ids(stretched.similar_items(["i03"], 9)[0]) == ids(
        Lookup(bundle).similar_items(["i03"], 9)[0]
    )


@pytest.mark.parametrize("dial", [0.0, -0.3])
@pytest.mark.parametrize(
    "asked",
    [
        {"user": "u05"},
        {"user": "u05", "history": ["i01"]},
        {"user": None, "history": ["i01", "i09", "gone"]},
        {"user": None, "history": ["i01"], "attributes": {"country": "it"}},
    ],
)
def test_reasons_sum_to_the_score(lookup, asked, dial):
    why = lookup.explain(item="i04", popularity=dial, **asked)
    bundle = lookup.bundle
    scores = [lookup.explain(item=item, **asked)["score"] for item in bundle.items.ids]
    known = {bundle.items.internal(item) for item in asked.get("history", []) if item != "gone"}
    if asked["user"]:
        known |= set(bundle.seen["buy"][5].indices.tolist())
    factor = naive_factor(bundle, np.array(scores), known, dial)
    dialled = factor * np.log1p(bundle.counts[4])
    assert why.get("popularity", 0.0) == pytest.approx(dialled, abs=1e-6)
    total = sum(part["share"] for part in why["parts"]) + why["others"] + why["rest"] + dialled
    assert total == pytest.approx(why["score"], abs=1e-5)
    users = [asked["user"]] if asked["user"] else None
    histories = [asked["history"]] if "history" in asked else None
    attributes = [asked["attributes"]] if "attributes" in asked else None
    [answer] = lookup.recommend(
        users, 40, histories=histories, attributes=attributes, exclude_seen=False, popularity=dial
    )
    [listed] = [item["score"] for item in answer["items"] if item["id"] == "i04"]
    assert why["score"] == pytest.approx(listed, abs=1e-5)
    assert why["source"] == answer["source"]
    short = lookup.explain(item="i04", parts=1, popularity=dial, **asked)
    assert short["parts"] == why["parts"][:1]
    assert short["others"] == pytest.approx(
        sum(part["share"] for part in why["parts"][1:]), abs=1e-9
    )


def test_reasons_have_names(lookup):
    why = lookup.explain("u05", "i04")
    country = [part for part in why["parts"] if part["type"] == "user:country"]
    assert [(part["relation"], part["id"]) for part in country] == [("country", "fr")]
    assert {part["relation"] for part in why["parts"]} <= {"buy", "view", "country"}
    item = next(part for part in why["parts"] if part["type"] == "item")
    assert item["title"] == f"Film {int(item['id'][1:])}"
    assert why["title"] == "Film 4"
    with pytest.raises(UsageError, match="unknown item"):
        lookup.explain("u05", "nope")


def test_batch_equals_recommend(lookup, tmp_path):
    rows = lookup.batch(None, 7, tmp_path / "all.parquet")
    table = pl.read_parquet(tmp_path / "all.parquet")
    assert table.columns == [USER_ID, ITEM_ID, SCORE, RANK]
    assert rows == len(table)
    users = [f"u{one:02}" for one in range(30)]
    for user, answer in zip(users, lookup.recommend(users, 7), strict=True):
        assert table.filter(pl.col(USER_ID) == user).sort(RANK)[ITEM_ID].to_list() == ids(answer)


def test_batch_in_blocks_and_for_some(lookup, tmp_path, monkeypatch):
    lookup.batch(None, 5, tmp_path / "whole.parquet")
    monkeypatch.setattr("recsys.lookup.batch._USERS_AT_ONCE", 7)
    lookup.batch(None, 5, tmp_path / "blocks.parquet")
    whole, blocks = (
        pl.read_parquet(tmp_path / "whole.parquet"),
        pl.read_parquet(tmp_path / "blocks.parquet"),
    )
    assert whole.drop(SCORE).equals(blocks.drop(SCORE))
    assert np.allclose(
        whole[SCORE], blocks[SCORE], atol=1e-6
    )  # products round by the shape of the block
    assert (
        lookup.batch(["u09", "u01"], 100, tmp_path / "some.parquet", exclude_seen=False) == 2 * 39
    )
    assert pl.read_parquet(tmp_path / "some.parquet")[USER_ID].unique(
        maintain_order=True
    ).to_list() == ["u09", "u01"]
    with pytest.raises(UsageError, match="unknown user"):
        lookup.batch(["nobody"], 5, tmp_path / "none.parquet")
    assert not (tmp_path / "none.parquet").exists()
    with pytest.warns(UserWarning, match=r"1 of 3 users are unknown .* \['nobody'\]"):
        rows = lookup.batch(["u09", "nobody", "u01"], 5, tmp_path / "most.parquet")
    assert rows == 10
    assert lookup.batch([], 5, tmp_path / "empty.parquet") == 0
    assert pl.read_parquet(tmp_path / "empty.parquet").columns == [USER_ID, ITEM_ID, SCORE, RANK]


def test_threads_may_share_a_lookup(lookup):
    users = [f"u{one:02}" for one in range(30)] * 4
    alone = [lookup.recommend([user], 5) for user in users]
    with ThreadPoolExecutor(8) as workers:
        assert list(workers.map(lambda user: lookup.recommend([user], 5), users)) == alone


def test_lookup_loads_neither_torch_nor_dgl():
    code = """
import importlib, pkgutil, sys

for name in ("search", "encode", "bundle", "lookup", "releases"):
    package = importlib.import_module(f"recsys.{name}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"recsys.{name}.{module.name}")
print(sorted({"torch", "dgl"} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
