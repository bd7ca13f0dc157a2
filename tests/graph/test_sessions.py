"""Consecutive items of sessions: by hand, a naive oracle, times, and what a log without times says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.config import GraphConfig, SessionConfig
from recsys.core.errors import ConfigError
from recsys.graph.build import build_graph, left_out
from recsys.graph.sessions import session_edges

MINUTE = 60


def edges(table) -> dict[tuple[int, int], tuple[float, int]]:
    """{(item, next item): (count, latest time)}"""
    ends = zip(table.source.to_list(), table.destination.to_list(), strict=True)
    return dict(
        zip(ends, zip(table.weight.tolist(), table.time.tolist(), strict=True), strict=True)
    )


def test_steps_within_the_gap(interactions_of):
    rows = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 1)]
    log = interactions_of(rows, time=[m * MINUTE for m in (0, 10, 100, 5, 20, 25)])
    found = session_edges(log, SessionConfig(gap_minutes=30, min_count=1))
    assert edges(found) == {(0, 1): (2, 20 * MINUTE)}
    assert edges(session_edges(log, SessionConfig(gap_minutes=90, min_count=1))) == {
        (0, 1): (2, 20 * MINUTE),
        (1, 2): (1, 100 * MINUTE),
    }
    assert edges(session_edges(log, SessionConfig(gap_minutes=90))) == {(0, 1): (2, 20 * MINUTE)}


def test_both_ways_are_counted_together(interactions_of):
    log = interactions_of([(0, 0), (0, 1), (1, 1), (1, 0)], time=[0, 1, 2, 3])
    assert edges(session_edges(log, SessionConfig(directed=False))) == {(0, 1): (2, 3)}
    assert not len(session_edges(log, SessionConfig()))


def test_they_are_a_relation_of_the_graph(interactions_of):
    log = interactions_of([(0, 0), (0, 1), (1, 0), (1, 1)], time=[0, 1, 2, 3])
    graph = build_graph(log, GraphConfig(sessions={}))
    assert graph.relations["item", "next", "item"].time.tolist() == [3]
    assert graph.relations["item", "next", "item"].indptr.tolist() == [0, 0, 1]
    assert graph.relations["item", "rev_next", "item"].indptr.tolist() == [0, 1, 1]


def test_no_step_is_often_enough(interactions_of):
    config = GraphConfig(sessions={"min_count": 9})
    graph = build_graph(interactions_of([(0, 0), (0, 1)], time=[0, 1]), config)
    assert left_out(graph, config, []) == ["next"]


def test_a_log_without_times(interactions_of):
    with pytest.raises(ConfigError, match=r"graph\.sessions needs times"):
        build_graph(interactions_of([(0, 0)]), GraphConfig(sessions={}))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 50)), max_size=30),
    st.integers(1, 20),
)
def test_equals_a_loop_over_users(interactions_of, rows, gap):
    log = interactions_of(rows or [(0, 0, 0)], 3, 5, time=[row[2] * MINUTE for row in rows] or [0])
    expected: dict[tuple[int, int], int] = {}
    for user in range(3):
        own = sorted((time, item) for one, item, time in rows if one == user)
        for (before, first), (after, then) in pairwise(own):
            if after - before <= gap and first != then:
                expected[first, then] = expected.get((first, then), 0) + 1
    found = session_edges(log, SessionConfig(gap_minutes=gap, min_count=1))
    assert {pair: count for pair, (count, _) in edges(found).items()} == expected
