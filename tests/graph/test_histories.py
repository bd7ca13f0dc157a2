"""Blocks of users as they were before their pairs: against loops over the rows of the log."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.core.config import AttributeConfig, GraphConfig, ModelConfig
from recsys.core.history import gap_bucket
from recsys.core.interactions import Interactions
from recsys.graph.behaviors import behavior_relations, history_blocks_of
from recsys.graph.build import build_graph
from recsys.graph.schema import Block, Graph

BUY, VIEW = ("item", "rev_buy", "user"), ("item", "rev_view", "user")
USERS, ITEMS = 4, 7


class Row(NamedTuple):
    user: int
    item: int
    behavior: str
    time: int


class Edge(NamedTuple):
    """What a block says of an edge."""

    item: int
    rank: int
    gap: int | None


ROWS = st.builds(
    Row,
    st.integers(0, USERS - 1),
    st.integers(0, ITEMS - 1),
    st.sampled_from(["buy", "view"]),
    st.integers(0, 5).map(lambda step: step * 100),
)
LOGS = st.lists(ROWS, min_size=1, max_size=40).filter(
    lambda rows: {row.behavior for row in rows} == {"buy", "view"}
)


def log_of(interactions_of, rows: list[Row], with_times: bool = True) -> Interactions:
    return interactions_of(
        [(row.user, row.item) for row in rows],
        USERS,
        ITEMS,
        behavior=[row.behavior for row in rows],
        behaviors=("buy", "view"),
        time=[row.time for row in rows] if with_times else None,
    )


def phase_of(interactions_of, rows: list[Row], with_times: bool = True):
    log = log_of(interactions_of, rows, with_times)
    return log, build_graph(log, GraphConfig(target="buy", half_life_days="none"))


def pairs_of(rows: list[Row]) -> list[tuple[int, int]]:
    """The pairs of the target by user and item, as training numbers them."""
    return sorted({(row.user, row.item) for row in rows if row.behavior == "buy"})


def events_of(rows: list[Row], user: int, behavior: str) -> list[tuple[int, int]]:
    """(time, item) of the latest row of every item of a user, oldest first."""
    latest: dict[int, int] = {}
    for row in rows:
        if (row.user, row.behavior) == (user, behavior):
            latest[row.item] = max(row.time, latest.get(row.item, row.time))
    return sorted((time, item) for item, time in latest.items())


def naive_edges(events: list[tuple[int, int]], history: int) -> list[Edge]:
    """The latest of some events, with what is said of their places."""
    edges = []
    for number, (time, item) in enumerate(events):
        rank = len(events) - 1 - number
        if rank < history:
            seconds = np.array([events[-1][0] - time])
            edges.append(Edge(item, rank, int(gap_bucket(seconds)[0])))
    return edges


def edges_into(block: Block, relation, row: int) -> list[Edge]:
    messages = block.messages[relation]
    low, high = messages.adjacency.indptr[row : row + 2].tolist()
    edges = []
    for place in range(low, high):
        gap = None if messages.places.gap is None else int(messages.places.gap[place])
        item = int(messages.adjacency.indices[place])
        edges.append(Edge(item, int(messages.places.rank[place]), gap))
    return edges


def weights_into(graph: Graph, relation, user: int) -> dict[int, float]:
    adjacency = graph.relations[relation]
    low, high = adjacency.indptr[user : user + 2].tolist()
    items = adjacency.indices[low:high].tolist()
    return dict(zip(items, adjacency.weight[low:high].tolist(), strict=True))


def blocks_of(graph: Graph, log: Interactions, history: int, recency: bool = True):
    return history_blocks_of(graph, log, ModelConfig(history=history, recency=recency))


@settings(max_examples=30)
@given(LOGS, st.sampled_from([1, 2, 50]))
def test_a_pair_knows_what_came_before_it(interactions_of, rows, history):
    log, graph = phase_of(interactions_of, rows)
    pairs = pairs_of(rows)
    users = np.array([user for user, _ in pairs])
    block = blocks_of(graph, log, history).before(np.arange(len(pairs)), users, (1,))
    assert block.nodes["user"].tolist() == users.tolist()
    for number, (user, item) in enumerate(pairs):
        bought = events_of(rows, user, "buy")
        [moment] = [time for time, bought_item in bought if bought_item == item]
        earlier = [event for event in bought if event[0] < moment]
        at_once = [event for event in bought if event[0] == moment and event[1] != item]
        expected = naive_edges(earlier or at_once, history)
        assert edges_into(block, BUY, number) == expected
        viewed = [event for event in events_of(rows, user, "view") if event[0] < moment]
        assert edges_into(block, VIEW, number) == naive_edges(viewed, history)


@settings(max_examples=25)
@given(LOGS, st.sampled_from([1, 3, 50]))
def test_now_is_the_latest_of_everything(interactions_of, rows, history):
    log, graph = phase_of(interactions_of, rows)
    users = np.array([2, 0, 3])
    block = blocks_of(graph, log, history).now(users)
    for number, user in enumerate(users.tolist()):
        for relation, behavior in ((BUY, "buy"), (VIEW, "view")):
            expected = naive_edges(events_of(rows, user, behavior), history)
            assert edges_into(block, relation, number) == expected


@settings(max_examples=15)
@given(LOGS, st.booleans())
def test_edges_keep_the_weights_and_degrees_of_the_graph(interactions_of, rows, recency):
    log, graph = phase_of(interactions_of, rows)
    block = blocks_of(graph, log, 50, recency).now(np.arange(USERS))
    for relation in (BUY, VIEW):
        messages = block.messages[relation]
        adjacency = messages.adjacency
        for user in range(USERS):
            low, high = adjacency.indptr[user : user + 2].tolist()
            items = adjacency.indices[low:high].tolist()
            found = dict(zip(items, adjacency.weight[low:high].tolist(), strict=True))
            assert found == weights_into(graph, relation, user)
        degree = np.zeros(ITEMS)
        edges = graph.relations[relation]
        np.add.at(degree, edges.indices.numpy(), edges.weight.numpy())
        assert messages.source_degree.tolist() == degree.tolist()


@settings(max_examples=15)
@given(LOGS, st.sampled_from([1, 3, 50]))
def test_without_an_order_the_pair_itself_is_left_out(interactions_of, rows, history):
    log, graph = phase_of(interactions_of, rows, with_times=False)
    pairs = pairs_of(rows)
    users = np.array([user for user, _ in pairs])
    blocks = blocks_of(graph, log, history)
    block = blocks.before(np.arange(len(pairs)), users, (5,))
    assert all(messages.places is None for messages in block.messages.values())
    for number, (user, item) in enumerate(pairs):
        others = {other for owner, other in pairs if owner == user} - {item}
        adjacency = block.messages[BUY].adjacency
        low, high = adjacency.indptr[number : number + 2].tolist()
        drawn = adjacency.indices[low:high].tolist()
        assert len(set(drawn)) == len(drawn) == min(history, len(others))
        assert set(drawn) <= others
    whole = blocks.now(np.arange(USERS)).messages[BUY].adjacency
    assert whole.num_edges == len(pairs)


def test_every_other_is_drawn_equally_often(interactions_of):
    """A user of six items, two of the others drawn: each stands for two fifths of the draws."""
    rows = [Row(0, item, "buy", 0) for item in range(6)] + [Row(0, 0, "view", 0)]
    log, graph = phase_of(interactions_of, rows, with_times=False)
    blocks = blocks_of(graph, log, 2)
    for own in (0, 2, 5):
        block = blocks.before(np.full(600, own), np.zeros(600, np.int64), (1,))
        drawn = Counter(block.messages[BUY].adjacency.indices.tolist())
        others = set(range(6)) - {own}
        assert set(drawn) == others
        # Of 600 draws 240 ± 12.
        assert all(abs(drawn[item] - 240) < 60 for item in others)


def test_the_same_key_draws_the_same(interactions_of):
    rows = [Row(user, item, "buy", 0) for user in range(USERS) for item in range(ITEMS)]
    rows.append(Row(0, 0, "view", 0))
    log, graph = phase_of(interactions_of, rows, with_times=False)
    blocks = blocks_of(graph, log, 2)
    pairs, users = np.arange(7), np.zeros(7, np.int64)

    def drawn(*key: int) -> list[int]:
        return blocks.before(pairs, users, key).messages[BUY].adjacency.indices.tolist()

    assert drawn(1) == drawn(1) != drawn(2)


def test_recency_false_sees_a_set(interactions_of):
    rows = [Row(0, item, "buy", 100 * item) for item in range(4)] + [Row(0, 0, "view", 0)]
    log, graph = phase_of(interactions_of, rows)
    block = blocks_of(graph, log, 50, recency=False).before(np.array([0]), np.array([0]), (1,))
    # The first pair knows what came after it.
    assert block.messages[BUY].adjacency.indices.tolist() == [1, 2, 3]
    assert block.messages[BUY].places is None


def test_an_order_has_ranks_and_no_gaps(interactions_of):
    rows = [Row(0, item, "buy", 3 - item) for item in range(4)] + [Row(0, 0, "view", 0)]
    log = log_of(interactions_of, rows)
    in_order = type(log)(**{**vars(log), "time_kind": "order"})
    graph = build_graph(in_order, GraphConfig(target="buy"))
    block = blocks_of(graph, in_order, 2).now(np.array([0]))
    assert edges_into(block, BUY, 0) == [Edge(1, 1, None), Edge(0, 0, None)]


def test_neighbours_of_other_kinds_are_all_there(interactions_of, rng):
    """Attributes of users have no order: they are drawn in training and whole when encoded."""
    rows = [Row(user, item, "buy", 10 * item) for user in range(USERS) for item in range(3)]
    rows.append(Row(0, 0, "view", 0))
    log = log_of(interactions_of, rows)
    config = GraphConfig(target="buy", attributes=[AttributeConfig(side="user", column="tags")])
    tags = [["a", "b", "c"], ["a"], [], ["b", "c"]]
    users = pl.DataFrame({"user_id": log.users.ids, "tags": tags})
    graph = build_graph(log, config, None, users)
    blocks = blocks_of(graph, log, 2)
    relation = ("user:tags", "rev_tags", "user")
    assert behavior_relations(graph, log) == {BUY: "buy", VIEW: "view"}
    whole = blocks.now(np.arange(USERS)).messages[relation]
    assert whole.adjacency.indptr.diff().tolist() == [3, 1, 0, 2] and whole.places is None
    of_pairs = blocks.before(np.array([0, 3, 6]), np.array([0, 1, 2]), (1,)).messages[relation]
    assert of_pairs.adjacency.indptr.diff().tolist() == [2, 1, 0]


@pytest.mark.parametrize("with_times", [True, False])
def test_a_user_with_a_single_event_has_no_history(interactions_of, with_times):
    rows = [Row(0, 3, "buy", 100), Row(1, 2, "buy", 100), Row(1, 4, "buy", 200)]
    rows.append(Row(0, 3, "view", 100))
    log, graph = phase_of(interactions_of, rows, with_times)
    block = blocks_of(graph, log, 50).before(np.array([0]), np.array([0]), (1,))
    assert block.messages[BUY].adjacency.num_edges == 0


def test_blocks_of_nobody(interactions_of):
    rows = [Row(0, 3, "buy", 100), Row(0, 3, "view", 100)]
    log, graph = phase_of(interactions_of, rows)
    block = blocks_of(graph, log, 50).now(np.empty(0, np.int64))
    assert block.messages[BUY].adjacency.num_dst == 0
