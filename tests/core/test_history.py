"""Histories by hand, and replayed: a history extended by later events is that of the longer log."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.core.config import GraphConfig
from recsys.core.errors import UsageError
from recsys.core.history import EdgeWeighting, no_history, user_histories
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions
from recsys.core.later_events import HistoryEvent, extended
from recsys.core.tables import BEHAVIOR, ITEM, TIME, USER, WEIGHT, in_order
from recsys.graph.build import build_graph
from recsys.logs.clean import drop_duplicates
from worlds import make_interactions

USERS, ITEMS = 3, 5
BEHAVIORS = ("buy", "view")
DAY = 86_400
WEIGHTING = EdgeWeighting(0.5, True, half_life_days=4.0, half_life_events=2.0)


@pytest.mark.parametrize("timed", [True, False])
@given(order=st.permutations(range(len(make_interactions()))))
def test_rows_come_in_their_order_whatever_the_order_of_the_log(timed, order):
    log = make_interactions()
    if not timed:
        log = replace(log, time=None)
    order = np.array(order)
    if not timed:
        # Of a user the rows stay as they were: nothing else says what came first.
        user = log.user[order]
        for number in range(log.num_users):
            order[user == number] = np.flatnonzero(log.user == number)
    columns = {"user", "item", "behavior", "weight"} | ({"time"} if timed else set())
    shuffled = replace(log, **{name: getattr(log, name)[order] for name in columns})
    wanted, found = user_histories(log), user_histories(shuffled)
    keys = (log.behavior, log.item, log.time, log.user) if timed else (log.user,)
    assert wanted.item.tolist() == log.item[np.lexsort(keys)].tolist()
    for name in columns - {"user"} | {"indptr"}:
        assert getattr(found, name).tolist() == getattr(wanted, name).tolist()


def test_auxiliary_behaviours_count_a_part():
    log = make_interactions()
    histories = user_histories(log)
    bought = histories.item_weights({"buy": 1.0}).toarray()
    both = histories.item_weights({"buy": 1.0, "view": 0.25}).toarray()
    viewed = log.matrix(("view",)).toarray()
    assert both == pytest.approx(np.maximum(bought, 0.25 * viewed))
    decayed = histories.item_weights({"buy": 1.0, "view": 0.25}, 2.0).toarray()
    assert ((decayed > 0) == (both > 0)).all()
    ratio = decayed[both > 0] / both[both > 0]
    assert set(np.round(np.log2(ratio) * 2, 4) % 1) == {0.0}
    assert ratio.max() == 1.0


def test_the_latest_of_a_history_count_most():
    log = make_interactions()
    recent = user_histories(log).item_weights({"buy": 1.0}, 2.0)
    assert ((recent.toarray() > 0) == (log.matrix(("buy",)).toarray() > 0)).all()
    for user in range(log.num_users):
        rows = np.flatnonzero(log.of("buy") & (log.user == user))
        newest_first = log.item[rows][np.argsort(-log.time[rows], kind="stable")]
        assert recent[user].toarray().ravel()[newest_first] == pytest.approx(
            2.0 ** (-np.arange(len(rows)) / 2)
        )


def test_of_a_repeated_pair_the_latest_event_counts():
    log = make_interactions()
    user, items = int(log.user[0]), log.item[log.of("buy") & (log.user == log.user[0])]
    again = replace(
        log,
        user=np.append(log.user, user).astype(np.int32),
        item=np.append(log.item, items[0]).astype(np.int32),
        time=np.append(log.time, log.time.max() + 1),
        behavior=np.append(log.behavior, 1).astype(np.int16),
        weight=np.append(log.weight, 1).astype(np.float32),
    )
    row = user_histories(again).item_weights({"buy": 1.0}, 1.0)[user].toarray().ravel()
    assert row[items[0]] == 1.0
    assert np.count_nonzero(row) == len(items)


def test_decay_by_position_needs_times():
    histories = user_histories(replace(make_interactions(), time=None))
    with pytest.raises(UsageError, match="half-life of 5 events") as raised:
        histories.item_weights({"buy": 1.0}, 5.0)
    assert "Leave the half-life out" in str(raised.value)
    histories.item_weights({"buy": 1.0})


def test_edges_by_hand():
    """One purchase of today, one of eight days ago, and a view that is left aside."""
    frame = coded([(0, 1, 0, 0, 2.0), (0, 3, 0, 8 * DAY, 3.0), (0, 3, 1, 8 * DAY, 1.0)])
    edges = user_histories(interactions_of(frame)).edge_weights(
        "buy", replace(WEIGHTING, now=8 * DAY)
    )
    # w_b · weight · 2^(−age / 4 days) · 2^(−p / 2)
    expected = {1: 0.5 * 2 * 2**-2 * 2**-0.5, 3: 0.5 * 3}
    assert dict(zip(edges.indices.tolist(), edges.data.tolist(), strict=True)) == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    ("duplicates", "items", "weights"),
    [("first", [1, 2], [1, 1]), ("last", [2, 1], [1, 5]), ("sum", [1, 2], [6, 1])],
)
def test_a_repeated_pair_goes_by_the_rule_of_the_log(duplicates, items, weights):
    history = user_histories(interactions_of(coded([(0, 1, 0, 10, 1.0), (0, 2, 0, 20, 1.0)])))
    longer = extended(history.of_user(0), [HistoryEvent(1, "buy", 5.0, 30)], duplicates)
    assert (longer.item.tolist(), longer.weight.tolist()) == (items, weights)


def test_events_that_change_nothing_give_the_same_history():
    history = user_histories(interactions_of(coded([(0, 1, 0, 10, 1.0)]))).of_user(0)
    assert extended(history, [], "last") is history
    assert extended(history, [HistoryEvent(1, "buy", 5.0, 30)], "first") is history


def test_events_without_a_time_come_last_in_the_order_given():
    events = [HistoryEvent(4, "buy"), HistoryEvent(2, "view"), HistoryEvent(0, "buy", 1.0, 99)]
    longer = extended(no_history(BEHAVIORS, ITEMS, True), events, "first")
    assert longer.item.tolist() == [0, 4, 2]
    assert longer.edge_weights("buy", replace(WEIGHTING, now=9 * DAY)).data[-1] == 0.5


def test_a_log_without_times_keeps_the_order():
    history = no_history(BEHAVIORS, ITEMS, False)
    longer = extended(history, [HistoryEvent(4, "buy", 1.0, 99), HistoryEvent(2, "buy")], "first")
    assert longer.item.tolist() == [4, 2] and longer.time is None


ROWS = st.tuples(
    st.integers(0, USERS - 1),
    st.integers(0, ITEMS - 1),
    st.integers(0, 1),
    st.integers(0, 20).map(lambda half_day: half_day * DAY // 2),
    st.sampled_from([0.5, 1.0, 3.0]),
)
LOGS = st.lists(ROWS, min_size=1, max_size=25)


@settings(max_examples=300)
@given(LOGS, st.integers(0, 20), st.sampled_from(["first", "last", "sum"]), st.booleans())
def test_replay(rows, half_days, duplicates, use_weights):
    """The log up to a moment, extended by what came later, gives what the whole log gives."""
    now = half_days * DAY // 2
    early = [row for row in rows if row[3] <= now]
    before = user_histories(interactions_of(cleaned(early, duplicates)))
    whole = user_histories(interactions_of(cleaned(rows, duplicates)))
    weighting = replace(WEIGHTING, use_weights=use_weights, now=now)
    for user in range(USERS):
        events = [
            HistoryEvent(item, BEHAVIORS[behavior], weight, time)
            for who, item, behavior, time, weight in rows
            if who == user and time > now
        ]
        served = extended(before.of_user(user), events, duplicates)
        retrained = whole.of_user(user)
        assert served.item.tolist() == retrained.item.tolist()
        assert served.behavior.tolist() == retrained.behavior.tolist()
        assert served.time.tolist() == retrained.time.tolist()
        for behavior in BEHAVIORS:
            same(served.matrix(behavior), retrained.matrix(behavior))
            same(
                served.edge_weights(behavior, weighting),
                retrained.edge_weights(behavior, weighting),
            )
        for half_life_events in (None, 3.0):
            weights = {"buy": 1.0, "view": 0.25}
            same(
                served.item_weights(weights, half_life_events),
                retrained.item_weights(weights, half_life_events),
            )


@settings(max_examples=100)
@given(LOGS, st.sampled_from(["first", "last", "sum"]), st.booleans())
def test_the_graph_has_the_edges_of_the_histories(rows, duplicates, use_weights):
    log = interactions_of(cleaned([*rows, (0, 0, 0, 0, 1.0)], duplicates))
    config = GraphConfig(
        target="buy",
        use_weights=use_weights,
        half_life_days=4.0,
        behavior_half_life_days={"view": 1.0},
        behavior_weights={"view": 0.3},
    )
    graph, histories = build_graph(log, config), user_histories(log)
    for behavior, weight, half_life_days in (("buy", 1.0, 4.0), ("view", 0.3, 1.0)):
        weighting = EdgeWeighting(weight, use_weights, half_life_days, int(log.time.max()))
        edges = graph.relations.get(("item", f"rev_{behavior}", "user"))
        expected = histories.edge_weights(behavior, weighting)
        assert (0 if edges is None else edges.num_edges) == expected.nnz
        if edges is not None:
            assert edges.indices.tolist() == expected.indices.tolist()
            assert edges.weight.numpy() == pytest.approx(expected.data)


def same(served, retrained):
    assert served.toarray() == pytest.approx(retrained.toarray(), rel=1e-6, abs=1e-12)


def coded(rows):
    """A frame of (user, item, behaviour, time, weight)."""
    schema = {USER: pl.Int32, ITEM: pl.Int32, BEHAVIOR: pl.Int16, TIME: pl.Int64}
    frame = pl.DataFrame(rows, schema={**schema, WEIGHT: pl.Float32}, orient="row")
    return frame.with_columns(pl.col(BEHAVIOR).replace_strict([0, 1], BEHAVIORS))


def cleaned(rows, duplicates):
    return in_order(drop_duplicates(coded(rows), duplicates)[0])


def interactions_of(frame):
    """With ids for all users and items, whether they have rows or not."""
    numbers = frame[BEHAVIOR].replace_strict(BEHAVIORS, [0, 1], return_dtype=pl.Int16)
    return Interactions(
        user=frame[USER].to_numpy(),
        item=frame[ITEM].to_numpy(),
        weight=frame[WEIGHT].to_numpy(),
        time=frame[TIME].to_numpy(),
        behavior=numbers.to_numpy(),
        behaviors=BEHAVIORS,
        users=IdMap(pl.Series([f"u{number}" for number in range(USERS)]), "user"),
        items=IdMap(pl.Series([f"i{number}" for number in range(ITEMS)]), "item"),
        user_codes=np.arange(USERS, dtype=np.int32),
        item_codes=np.arange(ITEMS, dtype=np.int32),
    )
