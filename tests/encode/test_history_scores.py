"""What histories add is the same in evaluation, lookup, batches and explanations."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.core.history import WeightedHistories, user_histories
from recsys.encode.history_scores import BlendedScorer, HistoryScores
from recsys.lookup.histories import read_history
from recsys.lookup.lookup import Event, Lookup
from recsys.search.exact import VectorScorer
from worlds import ITEMS, make_contents, write_world


@pytest.fixture(
    scope="module",
    params=[(None, 0.0, False), (2.0, 0.0, False), (None, 0.25, False), (None, 0.0, True)],
    ids=["all alike", "the latest most", "views count", "a trend"],
)
def lookup(request, tmp_path_factory):
    contents = make_contents()
    rng = np.random.default_rng(3)
    table = sparse.csr_matrix(
        rng.random((ITEMS, ITEMS)) * (rng.random((ITEMS, ITEMS)) < 0.2), dtype=np.float32
    )
    half_life, view_weight, trend = request.param
    into, back = (rng.normal(size=(ITEMS, rank)).astype(np.float32) for rank in (3, 3 + trend))
    gain = {"view": rng.random(ITEMS).astype(np.float32)}
    weights = {"view": view_weight} if view_weight else {}
    added = HistoryScores(table, into, back, half_life, gain, weights)
    histories = added.weighted(user_histories(contents.interactions), "buy").items
    contents = replace(contents, added=added, histories=histories)
    return Lookup(Bundle.load(write_world(tmp_path_factory.mktemp("bundles"), contents)))


def naive(bundle, vector, history, viewed):
    """(items,) scores by the formula."""
    added = bundle.added
    lent = history @ (added.table.toarray() + added.into @ added.back[:, :3].T)
    scores = (
        bundle.item_vectors @ vector
        + added.back[:, 3:].sum(1)
        + lent / max(history.sum(), 1e-30) ** 0.75
    )
    scores[viewed] += added.auxiliary_gains["view"][viewed]
    return scores


def listed(bundle, scores, hidden, k):
    order = sorted(
        (i for i in range(ITEMS) if i != 7 and i not in hidden), key=lambda i: (-scores[i], i)
    )
    return [f"i{i:02}" for i in order[:k]]


def test_known_users_are_answered_as_they_are_scored(lookup, tmp_path):
    bundle = lookup.bundle
    users = np.arange(len(bundle.users), dtype=np.int32)
    scored = bundle.scorer.score(users)
    lookup.batch(None, 5, tmp_path / "all.parquet")
    rows = pl.read_parquet(tmp_path / "all.parquet")
    for user in users:
        name = f"u{user:02}"
        viewed = bundle.seen["view"][user].indices
        scores = naive(
            bundle, bundle.user_vectors[user], bundle.histories[user].toarray().ravel(), viewed
        )
        assert scored[user] == pytest.approx(scores, abs=1e-5)
        [answer] = lookup.recommend([name], 5)
        wanted = listed(bundle, scores, set(bundle.seen["buy"][user].indices), 5)
        assert [item["id"] for item in answer["items"]] == wanted
        assert rows.filter(pl.col("user_id") == name)["item_id"].to_list() == wanted


def test_filters_hold_for_what_is_lent(lookup):
    [answer] = lookup.recommend(
        ["u04"], 40, allow=[f"i{i:02}" for i in range(0, 40, 3)], deny=["i03"]
    )
    shown = {int(item["id"][1:]) for item in answer["items"]}
    seen = set(lookup.bundle.seen["buy"][4].indices.tolist())
    assert shown == set(range(0, 40, 3)) - {3} - seen - {7}


def test_a_visitor_is_lent_by_the_items_of_the_visit(lookup):
    bundle = lookup.bundle
    events = [
        Event("i05", time=300.0),
        Event("i11", time=100.0),
        Event("i20", behavior="view"),
        Event("i05", time=50.0),
    ]
    [answer] = lookup.recommend(histories=[events], k=6)
    history = np.zeros(ITEMS)
    # Of the repeated i05 the first event counts, as in the log: i11 is the later one.
    history[[5, 11]] = (
        (1.0, 1.0)
        if bundle.added.half_life_events is None
        else (2.0 ** (-1 / bundle.added.half_life_events), 1.0)
    )
    history[20] = bundle.added.auxiliary_weights.get("view", 0.0)
    scores = naive(bundle, lookup.fold_in(events), history, [20])
    assert [item["id"] for item in answer["items"]] == listed(bundle, scores, {5, 11}, 6)
    assert answer["items"][0]["score"] == pytest.approx(
        np.sort(scores[[int(i["id"][1:]) for i in answer["items"]]])[-1]
    )


def test_new_events_of_a_known_user_come_on_top(lookup):
    bundle, added = lookup.bundle, lookup.bundle.added
    old = bundle.past.of(np.array([4]))
    new_items = [2, 12, 9]
    assert not set(new_items) & set(old.items.indices.tolist())
    events = [Event("i02"), Event("i12", "view"), Event("i09"), Event("i09", "view")]
    history, _ = read_history(bundle, events, 4)
    new = added.weighted(history, "buy")
    # Views shift positions where they count in histories; "i09" is one pair there.
    half_life = added.half_life_events
    fade = 1.0 if half_life is None else 2.0 ** (-2 / half_life)
    wanted = old.items.toarray().ravel() * fade
    wanted[[2, 9]] = (1.0, 1.0) if half_life is None else (2.0 ** (-1 / half_life), 1.0)
    wanted[12] = max(wanted[12], added.auxiliary_weights.get("view", 0.0))
    assert new.items.toarray().ravel() == pytest.approx(wanted)
    assert set(new.auxiliary["view"].indices) == {12, 9, *old.auxiliary["view"].indices}
    assert read_history(bundle, [], 4) == (None, [])


@pytest.mark.parametrize(
    "asked",
    [
        {"user": "u04"},
        {"user": "u04", "history": ["i01", Event("i13", "view")]},
        {"user": None, "history": ["i01", Event("i13", "view")]},
    ],
)
def test_parts_and_rest_are_the_score(lookup, asked):
    why = lookup.explain(asked["user"], "i13", history=asked.get("history"))
    whole = sum(part["share"] for part in why["parts"]) + why.get("trend", 0.0) + why["rest"]
    assert whole == pytest.approx(why["score"], abs=1e-5)
    trend = float(lookup.bundle.added.trend[13])
    assert why.get("trend", 0.0) == trend
    late = [
        reason["share"] for reason in why["reasons"] if reason["text"] == "often bought recently"
    ]
    assert late == ([trend] if trend > 0 else [])
    named = [(part["relation"], part["id"]) for part in why["parts"]]
    assert len(named) == len(set(named))
    [answer] = lookup.recommend(
        None if asked["user"] is None else [asked["user"]],
        1,
        histories=[asked["history"]] if "history" in asked else None,
        allow=["i13"],
        exclude_seen=False,
    )
    assert answer["items"][0]["score"] == pytest.approx(why["score"], abs=1e-5)


def test_an_item_that_was_viewed_says_so(lookup):
    plain, viewed = ([Event("i01"), Event("i13", behavior=name)] for name in ("buy", "view"))
    why = lookup.explain(None, "i13", history=viewed)
    [own] = [part for part in why["parts"] if part["relation"] == "view" and part["id"] == "i13"]
    gain = float(lookup.bundle.added.auxiliary_gains["view"][13])
    assert own["share"] >= gain > 0
    less = lookup.explain(None, "i13", history=plain)
    assert not any(part["relation"] == "view" for part in less["parts"])


def test_a_bundle_without_gains_still_loads(tmp_path):
    contents = make_contents()
    none = np.zeros((ITEMS, 0), np.float32)
    table = sparse.csr_matrix((ITEMS, ITEMS), dtype=np.float32)
    bought = contents.interactions.matrix(("buy",))
    path = write_world(
        tmp_path, replace(contents, added=HistoryScores(table, none, none), histories=bought)
    )
    assert not (path / "met_gain.npy").exists()
    assert Bundle.load(path).added.auxiliary_gains == {}


def test_a_user_without_a_history_keeps_the_vectors_scores():
    vectors = VectorScorer(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))
    nothing = np.zeros((2, 0), np.float32)
    added = HistoryScores(sparse.csr_matrix(np.ones((2, 2), np.float32)), nothing, nothing)
    history = sparse.csr_matrix(np.array([[0, 0], [1, 0]], np.float32))
    assert BlendedScorer(vectors, added, WeightedHistories(history, {})).score(
        np.array([0, 1], np.int32)
    ).tolist() == [
        [1, 0],
        [1, 2],
    ]
