"""Lists of a bundle with trees: the sum of both stages, served, batched and explained alike."""

from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.part import Parts
from recsys.bundle.parts.history_rows import HistoryRows
from recsys.bundle.parts.second_stage import SecondStageTrees, with_items
from recsys.closed_form.cooccurrence import cooccurrence
from recsys.core.errors import MachineError
from recsys.core.history import user_histories
from recsys.core.ranking import NO_ITEM
from recsys.core.tables import ITEM_ID, RANK, SCORE, USER_ID
from recsys.encode.history_scores import HistoryScores
from recsys.lookup.lookup import Event, Lookup
from recsys.releases.publish import write_bundle
from recsys.second_stage.candidates import Sources, with_others
from recsys.second_stage.features import Pairs, features_of, names_for
from recsys.second_stage.trees import Trees
from worlds import COUNTRIES, ITEMS, USERS, make_contents

CANDIDATES = 12
SOURCES = Sources(popular=3, neighbours=2)
COLUMNS = {
    "item": {"category": ["c0", "c1", "c2"], "year": []},
    "user": {"country": list(COUNTRIES)},
}
MOMENT = 1_690_000_000.0


def some_trees(names: tuple[str, ...], features: np.ndarray) -> Trees:
    """That learnt nothing in particular."""
    labels = np.random.default_rng(7).integers(0, 2, len(features))
    data = lightgbm.Dataset(features, labels)
    parameters = {
        "objective": "binary",
        "num_leaves": 6,
        "min_data_in_leaf": 5,
        "verbosity": -1,
        "num_threads": 1,
    }
    booster = lightgbm.train(parameters, data, num_boost_round=30)
    return Trees(booster.model_to_string(), names, 0.5, CANDIDATES, SOURCES, COLUMNS)


def all_pairs(bundle: Bundle, moment: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(users, items, features) and (users, items) scores of the first stage."""
    moments = None if moment is None else np.full(USERS, moment)
    users = bundle.known_users(np.arange(USERS, dtype=np.int32), moments)
    row, item = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    stage = bundle.second_stage
    pairs = Pairs(stage.first, users, row, item, 0.5)
    features = features_of(pairs, names_for(stage.first))
    return features.reshape(USERS, ITEMS, -1), pairs.scores.reshape(USERS, ITEMS)


@pytest.fixture(scope="module", params=["vectors", "history"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lookup:
    contents = make_contents()
    if request.param == "history":
        rng = np.random.default_rng(4)
        table = sparse.csr_matrix(rng.random((ITEMS, ITEMS)), dtype=np.float32)
        into = rng.normal(size=(ITEMS, 2)).astype(np.float32)
        back = rng.normal(size=(ITEMS, 4)).astype(np.float32)
        scores = HistoryScores(table, into, back, 3.0, {}, auxiliary_weights={"view": 0.3})
        histories = scores.weighted(user_histories(contents.interactions), "buy").items
        contents = replace(contents, added=scores, histories=histories)
    plain = contents.bundle()
    neighbours = cooccurrence(contents.interactions.matrix(("buy",)), top_n=5)
    # The trees are not asked for the first stage.
    no_trees = Trees("", (), 0.5, CANDIDATES, SOURCES, COLUMNS)
    first = plain.with_parts(SecondStageTrees(no_trees, neighbours))
    names = names_for(first.second_stage.first)
    features, _ = all_pairs(first)
    trees = some_trees(names, features.reshape(-1, len(names)))
    bundle = plain.with_parts(SecondStageTrees(trees, neighbours))
    folder = tmp_path_factory.mktemp("bundles")
    return Lookup(Bundle.load(write_bundle(folder, bundle)))


def going_with_latest(bundle: Bundle, user: int) -> list[int]:
    """Items that share buyers with the latest five bought, the most first."""
    history = bundle.parts[HistoryRows].histories.of_user(user)
    bought = [
        row for row in range(len(history)) if history.behaviors[history.behavior[row]] == "buy"
    ]
    latest = history.item[bought][-5:]
    table = bundle.second_stage.first.neighbours.toarray()
    strengths = table[latest].sum(axis=0)
    return sorted(np.flatnonzero(strengths).tolist(), key=lambda item: (-strengths[item], item))


def naive_list(lookup: Lookup, user: int, moment: float | None = None) -> list[tuple[str, float]]:
    """Candidates by both stages, by plain sorting; then all others by the first."""
    bundle = lookup.bundle
    features, first = all_pairs(bundle, moment)
    bought = set(bundle.seen["buy"][user].indices.tolist())
    allowed = [item for item in range(ITEMS) if item != 7 and item not in bought]
    by_first = sorted(allowed, key=lambda item: (-first[user, item], item))
    candidates = by_first[:CANDIDATES]
    popular = sorted(range(ITEMS), key=lambda item: (-bundle.counts[item], item))
    for others, count in (
        (popular, SOURCES.popular),
        (going_with_latest(bundle, user), SOURCES.neighbours),
    ):
        joining = [item for item in others if item in allowed and item not in candidates]
        candidates = candidates + joining[:count]
    added = bundle.second_stage.trees.added(features[user])
    both = {item: first[user, item] + added[item] for item in candidates}
    best = sorted(both, key=lambda item: (-both[item], item))
    rest = [item for item in by_first[CANDIDATES:] if item not in both]
    named = [(item, both[item]) for item in best] + [(item, first[user, item]) for item in rest]
    return [(f"i{item:02}", score) for item, score in named]


def named(answer: dict) -> list[str]:
    return [item["id"] for item in answer["items"]]


def test_scores_of_the_first_stage_are_those_that_are_served_without_it(shop: Lookup) -> None:
    _, first = all_pairs(shop.bundle)
    scorer = shop.bundle.scorer
    assert np.allclose(first, scorer.score(np.arange(USERS, dtype=np.int32)), atol=1e-4)


def test_lists_are_the_candidates_by_both_stages(shop: Lookup) -> None:
    for user in (0, 4, 17):
        expected = naive_list(shop, user)
        [answer] = shop.recommend([f"u{user:02}"], 10)
        assert named(answer) == [item for item, _ in expected[:10]]
        scores = [item["score"] for item in answer["items"]]
        assert np.allclose(scores, [score for _, score in expected[:10]], atol=1e-4)


def test_a_long_list_goes_on_by_the_first_stage(shop: Lookup) -> None:
    [answer] = shop.recommend(["u04"], ITEMS)
    assert named(answer) == [item for item, _ in naive_list(shop, 4)]


def test_pages_of_a_list_fit_together(shop: Lookup) -> None:
    [whole] = shop.recommend(["u04"], 20)
    pages = []
    for offset in (0, 5, 10, 15):
        [page] = shop.recommend(["u04"], 5, offset=offset)
        pages += named(page)
    assert pages == named(whole)


def test_lists_made_together_are_those_made_alone(shop: Lookup) -> None:
    ids = [f"u{user:02}" for user in range(USERS)]
    together = shop.recommend(ids, 8)
    for user, answer in zip(ids, together, strict=True):
        assert named(shop.recommend([user], 8)[0]) == named(answer)


def test_a_batch_holds_the_same_lists(shop: Lookup, tmp_path: Path) -> None:
    shop.batch(None, 6, tmp_path / "lists.parquet")
    rows = pl.read_parquet(tmp_path / "lists.parquet").sort(USER_ID, RANK)
    for user in (2, 9):
        of_user = rows.filter(pl.col(USER_ID) == f"u{user:02}")
        expected = naive_list(shop, user)[:6]
        assert of_user[ITEM_ID].to_list() == [item for item, _ in expected]
        assert np.allclose(of_user[SCORE], [score for _, score in expected], atol=1e-4)


def test_parts_and_rest_are_the_score(shop: Lookup) -> None:
    queries = [
        {"users": ["u04"]},
        {"histories": [[Event("i03", "buy"), Event("i05", "view")]]},
    ]
    for query in queries:
        [answer] = shop.recommend(k=5, explain=True, **query)
        for item in answer["items"]:
            user = query.get("users", [None])[0]
            history = query.get("histories", [None])[0]
            told = shop.explain(user, item["id"], history=history)
            assert told["score"] == pytest.approx(item["score"], abs=1e-4)
            total = sum(part["share"] for part in told["parts"]) + told["others"] + told["rest"]
            total += told.get("trend", 0) + told.get("popularity", 0) + told["second_stage"]
            assert total == pytest.approx(told["score"], abs=1e-4)
            assert told["second_stage"] != 0
            reasons = [reason for reason in item["reasons"] if reason["code"] == "second_stage"]
            for reason in reasons:
                assert reason["share"] > 0 and reason["features"]
                assert reason["text"].startswith("moved up for ")


def test_the_popularity_dial_moves_lists_of_both_stages(shop: Lookup) -> None:
    counts = shop.bundle.counts

    def mean_users(boost: float) -> float:
        items = []
        for answer in shop.recommend([f"u{user:02}" for user in range(USERS)], 5, popularity=boost):
            items += [int(item[1:]) for item in named(answer)]
        return float(counts[items].mean())

    assert mean_users(-2.0) < mean_users(0.0) < mean_users(2.0)
    [answer] = shop.recommend(["u04"], 3, popularity=1.0)
    told = shop.explain("u04", named(answer)[0], popularity=1.0)
    assert told["score"] == pytest.approx(answer["items"][0]["score"], abs=1e-4)


def test_the_moment_of_the_request_is_read(shop: Lookup) -> None:
    for user in (0, 4, 17):
        expected = naive_list(shop, user, MOMENT)[:10]
        [answer] = shop.recommend([f"u{user:02}"], 10, moment=MOMENT)
        assert named(answer) == [item for item, _ in expected]
        told = shop.explain(f"u{user:02}", expected[0][0], moment=MOMENT)
        assert told["score"] == pytest.approx(expected[0][1], abs=1e-4)


def test_the_end_of_the_log_stands_for_no_moment(shop: Lookup) -> None:
    end = float(shop.bundle.parts[HistoryRows].histories.time.max())
    assert shop.bundle.last_moment == end
    assert shop.recommend(["u04"], 10, moment=end) == shop.recommend(["u04"], 10)


def test_new_items_go_with_nothing_yet(shop: Lookup) -> None:
    part = shop.bundle.parts[SecondStageTrees]
    longer = with_items(part.neighbours, 2)
    assert longer.shape == (ITEMS + 2, ITEMS + 2)
    assert (longer[:ITEMS, :ITEMS] != part.neighbours).nnz == 0


def test_a_bundle_of_before_reads_what_it_read(shop: Lookup, tmp_path: Path) -> None:
    """Without sources, columns and neighbours in its facts."""
    (tmp_path / "second_stage.txt").write_text(shop.bundle.second_stage.trees.text)
    stage = {"features": ["score", "item_users"], "unit": 0.5, "candidates": 12, "popular": 3}
    facts = {"second_stage": stage, "num_items": ITEMS}
    part = SecondStageTrees.load(tmp_path, facts, Parts())
    assert part.trees.sources == Sources(popular=3) and part.trees.columns == {}
    assert part.neighbours is None
    bundle = shop.bundle.with_parts(part)
    users = bundle.known_users(np.arange(2, dtype=np.int32))
    items = np.array([[1, 2], [3, NO_ITEM]], np.int32)
    joined = with_others(bundle.second_stage.first, users, items, part.trees.sources)
    assert joined.shape == (2, 5)


def test_without_lightgbm_the_extra_is_named(shop: Lookup, monkeypatch) -> None:
    monkeypatch.setattr("recsys.second_stage.trees.find_spec", lambda name: None)
    with pytest.raises(MachineError, match=r'pip install "recsys\[rank\]"'):
        Bundle.load(shop.bundle.path)


def test_a_bundle_without_trees_needs_no_lightgbm(bundle: Bundle, monkeypatch) -> None:
    monkeypatch.setattr("recsys.second_stage.trees.find_spec", lambda name: None)
    assert Bundle.load(bundle.path).second_stage is None
