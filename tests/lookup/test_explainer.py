"""What explanations name: the behaviour by which an item stands in a history, the popularity boost,
and the trace of a user that is made once.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from boosts import naive_factor
from explaining import require_same_reasons
from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.scoring import Scoring
from recsys.core.history import user_histories
from recsys.core.interactions import Interactions
from recsys.encode.fold_in import UserEncoder
from recsys.encode.history_scores import HistoryScores
from recsys.lookup.explanations.verbs import past_tense
from recsys.lookup.lookup import Event, Lookup
from worlds import ITEMS, make_contents, write_world


def shop_log(log: Interactions) -> Interactions:
    """The world's log with a view before every purchase, and every tenth view without one."""
    bought = np.flatnonzero(log.behavior == log.behaviors.index("buy"))
    view = log.behaviors.index("view")
    rows = np.concatenate([np.arange(len(log.user)), bought])
    behavior = np.concatenate([log.behavior, np.full(len(bought), view, np.int16)])
    order = np.lexsort((behavior, log.item[rows], log.user[rows]))
    rows, behavior = rows[order], behavior[order]
    time = log.time[rows] - 60 * (behavior == view)
    return replace(
        log,
        user=log.user[rows],
        item=log.item[rows],
        weight=log.weight[rows],
        time=time,
        behavior=behavior,
    )


@pytest.fixture(scope="module", params=[1.0, 3.0])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lookup:
    """Purchases fade by their position in the history, and views count in it too."""
    contents = make_contents()
    log = shop_log(contents.interactions)
    rng = np.random.default_rng(4)
    table = sparse.csr_matrix(rng.random((ITEMS, ITEMS)), dtype=np.float32)
    no_factors = np.zeros((ITEMS, 0), np.float32)
    scores = HistoryScores(
        table, no_factors, no_factors, request.param, {}, auxiliary_weights={"view": 0.3}
    )
    neighbours = {
        **contents.neighbours,
        "rev_buy": log.matrix(("buy",)),
        "rev_view": log.matrix(("view",)),
    }
    histories = scores.weighted(user_histories(log), "buy").items
    changed = replace(
        contents, interactions=log, neighbours=neighbours, added=scores, histories=histories
    )
    return Lookup(Bundle.load(write_world(tmp_path_factory.mktemp("shop"), changed)))


def without_history_scores(bundle: Bundle) -> Bundle:
    """The same vectors alone."""
    scoring = replace(bundle.parts[Scoring], added=None, histories=None)
    return bundle.with_parts(scoring)


def history_shares(lookup: Lookup, user: int, item: int) -> dict[tuple[str, str], float]:
    """By behaviour and item, what the table adds, by a loop over the user's history."""
    bundle = lookup.bundle
    [history] = [bundle.past.items[user]]
    bought = set(bundle.seen["buy"][user].indices.tolist())
    scale = history.sum() ** -0.75
    shares = {}
    for other, weight in zip(history.indices, history.data, strict=True):
        behavior = "buy" if int(other) in bought else "view"
        value = float(scale * weight * bundle.added.table[other, item])
        shares[behavior, f"i{other:02}"] = value
    return shares


def test_what_was_bought_is_never_explained_as_viewed(shop: Lookup) -> None:
    """Whatever a purchase still weighs, its share of the table goes by "buy", beside that of the
    graph's edges.
    """
    named_views = 0
    for user in range(0, 30, 3):
        expected = history_shares(shop, user, 13)
        without = Lookup(without_history_scores(shop.bundle))
        parts, plain = (
            {
                (part["relation"], part["id"]): part["share"]
                for part in lookup.explain(f"u{user:02}", "i13")["parts"]
            }
            for lookup in (shop, without)
        )
        added = {key: parts[key] - plain.get(key, 0.0) for key in parts}
        assert {key for key, value in added.items() if abs(value) > 1e-6} == set(expected)
        for key, value in expected.items():
            assert added[key] == pytest.approx(value, abs=1e-5)
        named_views += sum(behavior == "view" for behavior, _ in expected)
    assert named_views  # the world has views without a purchase too


def test_a_visit_that_bought_what_it_viewed(shop: Lookup) -> None:
    history = [Event("i03", "view"), "i03", Event("i05", "view"), "i08"]
    without = Lookup(without_history_scores(shop.bundle))
    parts, plain = (
        {
            (part["relation"], part["id"]): part["share"]
            for part in lookup.explain(None, "i13", history=history)["parts"]
        }
        for lookup in (shop, without)
    )
    grown = {key for key in parts if parts[key] > plain.get(key, 0.0) + 1e-6}
    assert grown == {("buy", "i03"), ("view", "i05"), ("buy", "i08")}


@pytest.mark.parametrize("popularity", [0.0, 0.4, -0.4])
def test_reasons_of_a_list_hold_its_popularity_boost(lookup: Lookup, popularity: float) -> None:
    bundle = lookup.bundle
    [answer] = lookup.recommend(["u04"], 5, popularity=popularity, explain=True)
    scores = bundle.scorer.score(np.array([4], np.int32))[0]
    seen = set(bundle.seen["buy"][4].indices.tolist())
    factor = naive_factor(bundle, scores, seen, popularity)
    for item in answer["items"]:
        explained = lookup.explain("u04", item["id"], popularity=popularity)
        require_same_reasons(item["reasons"], explained["reasons"])
        assert item["score"] == pytest.approx(explained["score"], abs=1e-5)
        count = bundle.counts[int(item["id"][1:])]
        boosts = [one["share"] for one in item["reasons"] if one["text"].startswith("popular")]
        expected = [factor * np.log1p(count)] if popularity > 0 else []
        assert boosts == pytest.approx(expected, abs=1e-6)


def test_users_of_lists_are_encoded_once_and_together(
    lookup: Lookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    trace = UserEncoder.trace

    def counted(encoder: UserEncoder, *arguments: Any) -> Any:
        calls.append(1)
        return trace(encoder, *arguments)

    monkeypatch.setattr(UserEncoder, "trace", counted)
    lookup.recommend(["u04", "u05"], 10, explain=True)
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["pv", "add_to_basket", "fav", "Page view", "xyz"])
def test_no_verb_is_made_up(name: str) -> None:
    assert past_tense(name) is None


@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("Purchase", "bought"),
        ("view", "viewed"),
        ("clicks", "clicked"),
        ("add-to-cart", "put into the cart"),
        ("add_to_cart", "put into the cart"),
        ("bought", "bought"),
        ("rate", "rated"),
    ],
)
def test_words_have_their_verb(name: str, verb: str) -> None:
    assert past_tense(name) == verb


@pytest.mark.parametrize("column", ["marital_status", "series", "genres", "analysis", "bus"])
def test_columns_are_named_as_they_are(write: Callable[..., Path], column: str) -> None:
    contents = make_contents()
    table = contents.item_table.with_columns(
        **{column: np.array(["one", "two"])[np.arange(ITEMS) % 2]}
    )
    lookup = Lookup(Bundle.load(write(item_table=table)))
    words = column.replace("_", " ")
    texts = []
    for item in lookup.recommend(histories=[["i03", "i05"]], k=40, explain=True)[0]["items"]:
        texts.extend(reason["text"] for reason in item["reasons"])
    in_common = [text for text in texts if text.endswith((": one)", ": two)"))]
    assert in_common and all(f"({words}: " in text for text in in_common)
