"""What histories add is the same in evaluation, lookup, batches and explanations."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.core.history import WeightedHistories, user_histories
from recsys.core.ranking import NO_ITEM, Hits, top_k
from recsys.encode.history_scores import BlendedScorer, HistoryScores, with_sparse_scores
from recsys.lookup.histories import read_visit
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
    visit = read_visit(bundle, events, 4)
    new = added.weighted(visit.history, "buy")
    # Views shift positions where they count in histories; "i09" is one pair there.
    half_life = added.half_life_events
    fade = 1.0 if half_life is None else 2.0 ** (-2 / half_life)
    wanted = old.items.toarray().ravel() * fade
    wanted[[2, 9]] = (1.0, 1.0) if half_life is None else (2.0 ** (-1 / half_life), 1.0)
    wanted[12] = max(wanted[12], added.auxiliary_weights.get("view", 0.0))
    assert new.items.toarray().ravel() == pytest.approx(wanted)
    assert set(new.auxiliary["view"].indices) == {12, 9, *old.auxiliary["view"].indices}
    assert read_visit(bundle, [], 4).history is None


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


def test_lists_from_the_nearest_are_those_of_all_scores():
    rng = np.random.default_rng(0)
    for seed in range(20):
        queries, items = (
            rng.normal(size=(3, 4)).astype(np.float32),
            rng.normal(size=(30, 4)).astype(np.float32),
        )
        lent = sparse.csr_matrix(
            np.abs(rng.normal(size=(3, 30))) * (rng.random((3, 30)) < 0.2), dtype=np.float32
        )
        hidden = sparse.csr_matrix((rng.random((3, 30)) < 0.3).astype(np.float32))
        allow = np.random.default_rng(seed).random(30) < 0.8
        scores = queries @ items.T
        barred = hidden.toarray().astype(bool) | ~allow
        nearest = top_k(np.where(barred, -np.inf, scores).astype(np.float32), 5)
        found = with_sparse_scores(Hits(*nearest), queries, items, lent, hidden, allow)
        wanted = top_k(np.where(barred, -np.inf, scores + lent.toarray()).astype(np.float32), 5)
        assert found.items.tolist() == wanted.items.tolist()
        assert found.scores == pytest.approx(wanted.scores, abs=1e-5)


@pytest.mark.parametrize("gathered_numbers", [1, 500, 10**7])
def test_lists_of_many_rows_are_those_of_each_row_alone(gathered_numbers, monkeypatch):
    """However many rows are looked at together; some have nothing added, some nothing near."""
    monkeypatch.setattr("recsys.encode.history_scores._GATHERED_NUMBERS", gathered_numbers)
    rng = np.random.default_rng(3)
    queries = rng.integers(-3, 4, (40, 5)).astype(np.float32)
    items = rng.integers(-3, 4, (60, 5)).astype(np.float32)
    added = sparse.random(40, 60, 0.15, format="csr", rng=rng, dtype=np.float32)
    added = added.multiply(np.arange(40)[:, None] % 4 > 0).tocsr()
    added.data[::9] = 0.0  # an explicit zero adds nothing
    exclude = sparse.random(40, 60, 0.2, format="csr", rng=rng, dtype=np.float32)
    allow = rng.random(60) < 0.7
    barred = exclude.toarray().astype(bool) | ~allow
    by_vector = np.where(barred, -np.inf, queries @ items.T).astype(np.float32)
    by_vector[5] = -np.inf
    nearest = Hits(*top_k(by_vector, 6))
    lists = with_sparse_scores(nearest, queries, items, added, exclude, allow)
    scores = np.where(barred, -np.inf, queries @ items.T + added.toarray())
    wanted = top_k(scores.astype(np.float32), 6)
    rows = np.arange(40) != 5
    assert lists.items[rows].tolist() == wanted.items[rows].tolist()
    assert lists.scores[rows] == pytest.approx(wanted.scores[rows], abs=1e-5)
    only_added = np.flatnonzero((added.toarray()[5] > 0) & ~barred[5])
    assert set(lists.items[5]) - {NO_ITEM} == set(only_added[np.isin(only_added, lists.items[5])])
    assert (lists.items[5] != NO_ITEM).sum() == min(6, len(only_added))
    for row in (0, 1, 5, 7, 39):
        one = slice(row, row + 1)
        hits = Hits(nearest.items[one], nearest.scores[one])
        alone = with_sparse_scores(hits, queries[one], items, added[one], exclude[one], allow)
        assert alone.items.tolist() == lists.items[one].tolist()


def test_no_rows_have_no_lists():
    nothing = Hits(np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32))
    added = sparse.csr_matrix((0, 4), dtype=np.float32)
    lists = with_sparse_scores(nothing, np.zeros((0, 2), np.float32), np.eye(4, 2), added)
    assert lists.items.shape == lists.scores.shape == (0, 3)


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
