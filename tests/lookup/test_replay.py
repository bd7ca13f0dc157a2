"""A bundle of the log up to a moment, asked with the events after it, answers as one of the whole log.

Both are asked at the same `now`: a retrained model counts ages from its own last moment, which scales
the edges of everybody alike.
"""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.new_bundle import new_bundle
from recsys.core.encoder import Embeddings
from recsys.core.history import user_histories
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions
from recsys.core.tables import BEHAVIOR, ITEM, TIME, USER, WEIGHT, in_order
from recsys.encode.fold_in import UserEncoder, history_neighbours
from recsys.encode.history_scores import HistoryScores
from recsys.logs.clean import drop_duplicates
from recsys.lookup.cold_start import Request, read_requests
from recsys.lookup.histories import Event
from recsys.lookup.matrices import row_of, stacked_rows
from recsys.lookup.query import Query
from worlds import ITEMS, WIDTH, make_encoder, make_interactions, make_neighbours

USERS, DAY = 3, 86_400
BEHAVIORS = ("view", "buy")
BOTH = ("buy", "view")
NEIGHBOURS = make_neighbours(make_interactions())
ENCODER = make_encoder({name: NEIGHBOURS[name] for name in ("rev_buy", "rev_view")})
DRAWS = np.random.default_rng(5)
TABLE = sparse.csr_matrix(np.triu(DRAWS.random((ITEMS, ITEMS)), 1).astype(np.float32))
LOW_PASS = DRAWS.normal(size=(2, ITEMS, 3)).astype(np.float32)
OWN = DRAWS.normal(size=(USERS, WIDTH)).astype(np.float32)
ITEM_VECTORS = DRAWS.normal(size=(ITEMS, WIDTH)).astype(np.float32)

ROWS = st.tuples(
    st.integers(0, USERS - 1),
    st.integers(0, 5),
    st.integers(0, 1),
    st.integers(0, 20).map(lambda half_day: half_day * DAY // 2),
    st.sampled_from([0.5, 1.0, 3.0]),
)
RULES = st.fixed_dictionaries(
    {
        "duplicates": st.sampled_from(["first", "last", "sum"]),
        "use_weights": st.booleans(),
        "half_life_days": st.sampled_from([None, 4.0]),
        "half_life_events": st.sampled_from([None, 2.0]),
        "scores_half_life": st.sampled_from([None, 3.0]),
        "view_weight": st.sampled_from([0.0, 0.25]),
    }
)


@settings(max_examples=120)
@given(st.lists(ROWS, min_size=1, max_size=25), st.integers(0, 20), RULES, st.floats(0, 0.99))
def test_replay(rows, half_days, rules, fraction):
    now = half_days * DAY // 2
    early = [row for row in rows if row[3] <= now]
    before, whole = bundle_of(early, now, rules), bundle_of(rows, now, rules)
    encoder = UserEncoder(before.encoder)
    for user in range(USERS):
        # Live events have fractions of seconds, which logs do not keep.
        events = [
            Event(f"i{item}", BEHAVIORS[behavior], time + fraction, weight)
            for who, item, behavior, time, weight in rows
            if who == user and time > now
        ]
        served = request_of(before, encoder, Query(f"u{user}", events))
        retrained = request_of(whole, encoder, Query(f"u{user}"))
        assert served.vector == pytest.approx(retrained.vector, abs=1e-5)
        assert served.excluded.tolist() == retrained.excluded.tolist()
        assert served.target_items.tolist() == retrained.target_items.tolist()
        same(served.past.items, retrained.past.items)
        same(served.past.auxiliary["view"], retrained.past.auxiliary["view"])


@settings(max_examples=60)
@given(st.lists(ROWS, min_size=1, max_size=25), RULES)
def test_a_visitor_who_tells_everything_is_the_user(rows, rules):
    """The history of a user, told as events, gives the same edges, histories and seen items."""
    bundle = bundle_of(rows, 10 * DAY, rules)
    encoder = UserEncoder(bundle.encoder)
    for user in range(USERS):
        events = [
            Event(f"i{item}", BEHAVIORS[behavior], float(time), weight)
            for who, item, behavior, time, weight in rows
            if who == user
        ]
        visitor = request_of(bundle, encoder, Query(None, events))
        known = request_of(bundle, encoder, Query(f"u{user}"))
        assert visitor.excluded.tolist() == known.excluded.tolist()
        if not events:
            continue
        for name, edges in visitor.neighbours.items():
            same(edges, row_of(bundle.neighbours[name], user))
        same(visitor.past.items, known.past.items)


def request_of(bundle: Bundle, encoder: UserEncoder, query: Query) -> Request:
    [request] = read_requests(bundle, encoder, [query], BOTH, "popularity")
    return request


def same(served, retrained):
    served, retrained = stacked_rows([served, retrained]).toarray()
    assert served == pytest.approx(retrained, rel=1e-5, abs=1e-9)


def bundle_of(rows, now, rules):
    """The bundle of a cleaned log, its users encoded from their rows."""
    log = interactions_of(rows, rules["duplicates"])
    state = replace(
        ENCODER,
        now=now,
        use_weights=rules["use_weights"],
        half_life_days=rules["half_life_days"],
        half_life_events=rules["half_life_events"],
    )
    histories = user_histories(log)
    edges = history_neighbours(state, histories)
    nothing = sparse.csr_matrix((USERS, ITEMS), dtype=np.float32)
    neighbours = {name: edges.get(name, nothing) for name in ("rev_buy", "rev_view")}
    vectors = UserEncoder(state).encode(neighbours, OWN)
    weights = {"view": rules["view_weight"]} if rules["view_weight"] else {}
    gains = {"view": np.ones(ITEMS, np.float32)}
    added = HistoryScores(TABLE, *LOW_PASS, rules["scores_half_life"], gains, weights)
    return new_bundle(
        log,
        Embeddings(vectors, ITEM_VECTORS, OWN, state),
        neighbours,
        "buy",
        duplicates=rules["duplicates"],
        added=added,
        histories=added.weighted(histories, "buy").items,
    )


def interactions_of(rows, duplicates):
    """With ids for all users and items, whether they have rows or not."""
    schema = {
        USER: pl.Int32,
        ITEM: pl.Int32,
        BEHAVIOR: pl.Int16,
        TIME: pl.Int64,
        WEIGHT: pl.Float32,
    }
    frame = in_order(drop_duplicates(pl.DataFrame(rows, schema, orient="row"), duplicates)[0])
    return Interactions(
        user=frame[USER].to_numpy(),
        item=frame[ITEM].to_numpy(),
        weight=frame[WEIGHT].to_numpy(),
        time=frame[TIME].to_numpy(),
        behavior=frame[BEHAVIOR].to_numpy(),
        behaviors=BEHAVIORS,
        users=IdMap(pl.Series([f"u{number}" for number in range(USERS)]), "user"),
        items=IdMap(pl.Series([f"i{number}" for number in range(ITEMS)]), "item"),
        user_codes=np.arange(USERS, dtype=np.int32),
        item_codes=np.arange(ITEMS, dtype=np.int32),
    )
