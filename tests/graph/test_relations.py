"""Relations from files in the graph of a phase: by hand, both ways, times, and what is refused or
left out.
"""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.config import GraphConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.errors import ConfigError, UsageError
from recsys.graph.build import build_graph, left_out
from recsys.graph.store import load_graph, save_graph
from recsys.graph.temporal import TemporalSampler

DAY = 86_400


def rows_of(ends, pairs, name="r", time=None, weight=None, **fields) -> EdgeRows:
    columns = {"source": [a for a, _ in pairs], "destination": [b for _, b in pairs]}
    columns |= {"timestamp": time} if time is not None else {}
    columns |= {"weight": weight} if weight is not None else {}
    kinds = {
        c: pl.Int32 if end in ("user", "item") else pl.String
        for c, end in zip(columns, ends, strict=False)
    }
    return EdgeRows(name, ends, pl.DataFrame(columns, schema_overrides=kinds), **fields)


def config_of(*relations: EdgeRows) -> GraphConfig:
    listed = [{"name": one.name, "file": "f.csv", "between": list(one.ends)} for one in relations]
    return GraphConfig(relations=listed)


def graph_of(interactions, *relations: EdgeRows, until=None, **others):
    return build_graph(
        interactions, config_of(*relations), relations=relations, until=until, **others
    )


def edges(adjacency) -> dict[tuple[int, int], float]:
    """{(source, destination): weight}"""
    pairs = zip(adjacency.indices.tolist(), adjacency.destinations().tolist(), strict=True)
    return dict(zip(pairs, adjacency.weight.tolist(), strict=True))


def test_who_trusts_whom(interactions_of):
    graph = graph_of(
        interactions_of([(0, 0), (1, 0), (2, 0)]),
        rows_of(("user", "user"), [(0, 1), (1, 2), (2, 0)]),
    )
    assert edges(graph.relations["user", "r", "user"]) == {(0, 1): 1, (1, 2): 1, (2, 0): 1}
    assert edges(graph.relations["user", "rev_r", "user"]) == {(1, 0): 1, (2, 1): 1, (0, 2): 1}
    assert graph.reverse(("user", "r", "user")) == ("user", "rev_r", "user")
    assert graph.base_relation("user") == ("item", "rev_interaction", "user")


def test_friends_both_ways_are_one_relation(interactions_of):
    friends = rows_of(
        ("item", "item"), [(0, 1), (1, 0), (1, 2)], weight=[1.0, 3.0, 2.0], directed=False
    )
    graph = graph_of(interactions_of([(0, 0), (0, 1), (0, 2)]), friends)
    assert edges(graph.relations["item", "r", "item"]) == {
        (0, 1): 3,
        (1, 0): 3,
        (1, 2): 2,
        (2, 1): 2,
    }
    assert ("item", "rev_r", "item") not in graph.relations
    assert graph.reverse(("item", "r", "item")) == ("item", "r", "item")


def test_values_share_the_nodes_of_an_attribute(interactions_of):
    tags = rows_of(("item", "item:genre"), [(0, "a"), (1, "c")])
    tree = rows_of(
        ("item:genre", "item:genre"), [("a", "b"), ("b", "a"), ("c", "z")], name="parent"
    )
    config = config_of(tags, tree).model_copy(
        update={"attributes": GraphConfig(attributes=[{"column": "genre"}]).attributes}
    )
    table = pl.DataFrame({"genre": ["b", None]})
    graph = build_graph(interactions_of([(0, 0), (0, 1)]), config, table, relations=[tags, tree])
    assert graph.labels["item:genre"] == ("a", "b", "c", "z")
    assert edges(graph.relations["item", "genre", "item:genre"]) == {(0, 1): 1}
    assert edges(graph.relations["item", "r", "item:genre"]) == {(0, 0): 1, (1, 2): 1}
    assert edges(graph.relations["item:genre", "parent", "item:genre"]) == {
        (0, 1): 1,
        (1, 0): 1,
        (2, 3): 1,
    }


def test_nodes_without_a_row_are_counted(interactions_of):
    interactions = interactions_of([(0, 0), (1, 1)])
    object.__setattr__(interactions, "user_codes", np.array([3, 7], np.int32))
    trust = rows_of(("user", "user"), [(3, 7), (3, 4), (5, 7)])
    trust.drops["r: repeated"] = 2
    graph = graph_of(interactions, trust)
    assert edges(graph.relations["user", "r", "user"]) == {(0, 1): 1}
    assert graph.drops == {"r: user without a row": 2, "r: repeated": 2}


def test_times_and_half_lives(interactions_of):
    interactions = interactions_of([(0, 0), (1, 0)], time=[0, 10 * DAY])
    trust = rows_of(("user", "user"), [(0, 1), (1, 0)], time=[0, 11 * DAY], half_life_days=5.0)
    known = graph_of(interactions, trust, until=10 * DAY)
    assert edges(known.relations["user", "r", "user"]) == {(0, 1): 0.25}
    assert known.drops == {"r: later than the phase": 1}
    everything = graph_of(interactions, trust)
    assert everything.relations["user", "r", "user"].time.tolist() == [11 * DAY, 0]
    assert edges(everything.relations["user", "r", "user"]) == pytest.approx(
        {(1, 0): 1, (0, 1): 2 ** (-11 / 5)}
    )


def test_one_edge_and_none(interactions_of, tmp_path):
    one, none = (
        rows_of(("user", "user"), [(0, 1)], "one"),
        rows_of(("item", "item:tag"), [], "none"),
    )
    graph = graph_of(interactions_of([(0, 0), (1, 0)]), one, none)
    assert left_out(graph, config_of(one, none), [one, none]) == ["none"]
    assert "item:tag" not in graph.num_nodes
    assert graph.relations["user", "one", "user"].num_edges == 1
    save_graph(graph, tmp_path)
    assert list(load_graph(tmp_path).relations) == list(graph.relations)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 9)), max_size=30),
    st.booleans(),
)
def test_equals_a_loop_over_pairs(interactions_of, rows, directed):
    rows = {(a, b): w for a, b, w in rows if a != b}
    relation = rows_of(
        ("user", "user"), list(rows), weight=[float(w) for w in rows.values()], directed=directed
    )
    graph = graph_of(interactions_of([(u, 0) for u in range(6)]), relation)
    expected: dict[tuple[int, int], float] = {}
    for (a, b), weight in rows.items():
        expected[a, b] = max(expected.get((a, b), 0), weight)
        if not directed:
            expected[b, a] = max(expected.get((b, a), 0), weight)
    if rows:
        assert edges(graph.relations["user", "r", "user"]) == expected
    else:
        assert ("user", "r", "user") not in graph.relations


def test_only_edges_before_the_query_time_are_drawn(interactions_of):
    interactions = interactions_of([(0, 0), (1, 0), (2, 0)], time=[1, 2, 3])
    timed = rows_of(("user", "user"), [(0, 1), (2, 1)], "timed", time=[10, 20])
    timeless = rows_of(("user", "user"), [(0, 1), (2, 1)], "timeless")
    graph = graph_of(interactions, timed, timeless)
    sampler = TemporalSampler(graph, [-1], 1)
    [block] = sampler.sample({"user": torch.tensor([1])}, {"user": torch.tensor([15])})
    count = {
        name: messages.adjacency.num_edges for (_, name, _), messages in block.messages.items()
    }
    assert (count["timed"], count["timeless"]) == (1, 2)
    assert block.messages["user", "timed", "user"].target_degree.tolist() == [1]


def test_names_that_are_taken(interactions_of):
    with pytest.raises(ConfigError, match="called 'interaction'"):
        graph_of(
            interactions_of([(0, 0), (1, 0)]), rows_of(("user", "user"), [(0, 1)], "interaction")
        )


def test_rows_and_configuration_must_agree(interactions_of):
    relation = rows_of(("user", "user"), [(0, 1)])
    with pytest.raises(UsageError, match=r"no rows of \['r'\]"):
        build_graph(interactions_of([(0, 0), (1, 0)]), config_of(relation))
