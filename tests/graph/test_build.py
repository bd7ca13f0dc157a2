"""Tables → graph: tables worked by hand, a naive oracle, properties, errors."""

import hashlib
from collections import defaultdict

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.cold_items.graph_values import values_of_items
from recsys.core.config import GraphConfig
from recsys.core.errors import ConfigError, DataError, UsageError
from recsys.graph.build import build_graph, target_behavior
from recsys.graph.schema import Adjacency, full_block, reverse
from recsys.graph.store import load_graph, save_graph

DAY = 86_400


def edges(adjacency: Adjacency) -> dict[tuple[int, int], float]:
    """{(source, destination): weight}"""
    pairs = zip(adjacency.indices.tolist(), adjacency.destinations().tolist(), strict=True)
    return dict(zip(pairs, adjacency.weight.tolist(), strict=True))


def test_one_behaviour_by_hand(interactions_of):
    graph = build_graph(
        interactions_of([(0, 1), (1, 0), (0, 0), (0, 1)], num_users=3), GraphConfig()
    )
    into_items = graph.relations["user", "interaction", "item"]
    assert into_items.indptr.tolist() == [0, 2, 3]
    assert into_items.indices.tolist() == [0, 1, 0]
    assert into_items.weight.tolist() == [1, 1, 2]
    into_users = graph.relations["item", "rev_interaction", "user"]
    assert into_users.indptr.tolist() == [0, 2, 3, 3]
    assert into_users.indices.tolist() == [0, 1, 0]
    assert into_users.weight.tolist() == [1, 2, 1]
    assert into_items.indptr.dtype == into_items.indices.dtype == torch.int32
    assert graph.num_nodes == {"user": 3, "item": 2}
    assert graph.target == ("user", "interaction", "item")


def test_behaviours_weights_and_absence(interactions_of):
    interactions = interactions_of(
        [(0, 0), (0, 0), (1, 1), (1, 0)],
        behavior=["view", "buy", "view", "cart"],
        behaviors=("buy", "cart", "return", "view"),
    )
    config = GraphConfig(target="buy", behavior_weights={"view": 0.5, "cart": 0})
    graph = build_graph(interactions, config)
    assert [name for _, name, _ in graph.relations] == ["buy", "rev_buy", "view", "rev_view"]
    assert edges(graph.relations["user", "view", "item"]) == {(0, 0): 0.5, (1, 1): 0.5}
    assert graph.drops == {"behavior cart has weight 0": 1}


def test_log_weights_decay_and_latest_time(interactions_of):
    interactions = interactions_of(
        [(0, 0), (0, 0), (0, 1)], weight=[2, 4, 8], time=[0, 10 * DAY, 5 * DAY]
    )
    graph = build_graph(interactions, GraphConfig(use_weights=True, half_life_days=5))
    into_items = graph.relations["user", "interaction", "item"]
    assert edges(into_items) == {(0, 0): 4 + 2 / 4, (0, 1): 8 / 2}
    assert into_items.time.tolist() == [10 * DAY, 5 * DAY]
    assert graph.relations["item", "rev_interaction", "user"].time.tolist() == [10 * DAY, 5 * DAY]


def test_a_half_life_per_behaviour(interactions_of):
    pairs, behaviors = [(0, 0), (0, 1), (0, 2)], ["view", "buy", "buy"]
    log = interactions_of(
        pairs, behavior=behaviors, behaviors=("buy", "view"), time=[0, 0, 10 * DAY]
    )
    config = GraphConfig(target="buy", half_life_days=10, behavior_half_life_days={"view": 5})
    graph = build_graph(log, config)
    assert edges(graph.relations["user", "buy", "item"]) == {(0, 1): 0.5, (0, 2): 1}
    assert edges(graph.relations["user", "view", "item"]) == {(0, 0): 0.25}
    alone = build_graph(log, GraphConfig(target="buy", behavior_half_life_days={"view": 5}))
    assert edges(alone.relations["user", "buy", "item"]) == {(0, 1): 1, (0, 2): 1}


def test_ages_beyond_float32_keep_a_positive_weight(interactions_of):
    graph = build_graph(
        interactions_of([(0, 0), (0, 1)], time=[0, 10_000 * DAY]), GraphConfig(half_life_days=1)
    )
    assert (graph.relations["user", "interaction", "item"].weight > 0).all()


def test_degrees_of_the_full_block(interactions_of):
    graph = build_graph(
        interactions_of([(0, 1), (1, 0), (0, 0), (0, 1)], num_users=3), GraphConfig()
    )
    messages = full_block(graph).messages["user", "interaction", "item"]
    assert messages.source_degree.tolist() == [3, 1, 0]
    assert messages.target_degree.tolist() == [2, 2]


ITEMS = pl.DataFrame(
    {
        "genres": ["b|a|b", None, "a| |", ""],
        "tags": [["x", "x", None], [], None, ["y", "x"]],
        "year": [1999, 2001, None, 1999],
        "price": [1.5, float("nan"), None, 1.5],
    }
)


@pytest.mark.parametrize(
    ("column", "labels", "expected", "missing"),
    [
        ({"column": "genres", "separator": "|"}, ("a", "b"), {(0, 0), (0, 1), (2, 0)}, 2),
        ({"column": "genres"}, ("a| |", "b|a|b"), {(0, 1), (2, 0)}, 2),
        ({"column": "tags"}, ("x", "y"), {(0, 0), (3, 0), (3, 1)}, 2),
        ({"column": "tags", "separator": "|"}, ("x", "y"), {(0, 0), (3, 0), (3, 1)}, 2),
        ({"column": "year"}, ("1999", "2001"), {(0, 0), (1, 1), (3, 0)}, 1),
        ({"column": "price"}, ("1.5",), {(0, 0), (3, 0)}, 2),
    ],
)
def test_item_attributes(interactions_of, column, labels, expected, missing):
    graph = build_graph(interactions_of([(0, 3)]), GraphConfig(attributes=[column]), ITEMS)
    name = column["column"]
    relation = graph.relations["item", name, f"item:{name}"]
    assert graph.labels[f"item:{name}"] == labels
    assert graph.num_nodes[f"item:{name}"] == len(labels)
    assert edges(relation) == dict.fromkeys(expected, 1.0)
    assert relation.time is None
    assert graph.drops[f"item without {name}"] == missing


def test_user_attributes_and_an_empty_column(interactions_of):
    table = pl.DataFrame(
        {"country": ["de", "fr"], "nothing": [None, None]}, schema_overrides={"nothing": pl.String}
    )
    config = GraphConfig(attributes=[{"side": "user", "column": name} for name in table.columns])
    graph = build_graph(interactions_of([(0, 0), (1, 0)]), config, None, table)
    assert edges(graph.relations["user:country", "rev_country", "user"]) == {
        (0, 0): 1.0,
        (1, 1): 1.0,
    }
    assert (
        graph.num_nodes["user:nothing"]
        == graph.relations["user", "nothing", "user:nothing"].num_edges
        == 0
    )


def test_numbers_in_bins_of_the_phase(interactions_of):
    table = pl.DataFrame({"price": [1.0, 2.0, float("nan"), float("inf"), None, 9.0]})
    config = GraphConfig(attributes=[{"column": "price", "bins": 2}])
    graph = build_graph(interactions_of([(0, 5)]), config, table)
    assert graph.labels["item:price"] == ("1 to 2", "2 to 9")
    assert edges(graph.relations["item", "price", "item:price"]) == {
        (0, 0): 1,
        (1, 1): 1,
        (5, 1): 1,
    }
    assert graph.drops == {"item without price": 1, "item with price not finite": 2}


def test_features_are_no_nodes(interactions_of, tmp_path):
    table = pl.DataFrame(
        {
            "price": [1.0, 3.0, None],
            "genre": ["a", "b", "a"],
            "text": [[1.0, 0.0], [-1.0, 0.0], None],
        }
    )
    columns = [{"column": name, "use": "feature"} for name in table.columns]
    graph = build_graph(interactions_of([(0, 2)]), GraphConfig(attributes=columns), table)
    assert set(graph.num_nodes) == {"user", "item"}
    found = graph.features["item"]
    assert [(one.column, one.width) for one in found.columns] == [
        ("price", 1),
        ("genre", 2),
        ("text", 2),
    ]
    assert found.values.tolist() == [[-1, 1, 0, 1, 0], [1, 0, 1, -1, 0], [0, 1, 0, 0, 0]]
    assert graph.drops == {"item without price": 1, "item without text": 1}
    traits = values_of_items(graph)
    assert {name: matrix.toarray().tolist() for name, (_, matrix) in traits.items()}["text"] == [
        [1, 0],
        [-1, 0],
        [0, 0],
    ]
    assert {kind for kind, _ in traits.values()} == {"feature"}
    save_graph(graph, tmp_path)
    again = load_graph(tmp_path).features["item"]
    assert again.columns == found.columns
    assert torch.equal(again.values, found.values)


def test_bins_of_no_numbers(interactions_of):
    for column in (["a", "b"], [[1.0], [2.0]]):
        with pytest.raises(DataError, match="holds no number"):
            build_graph(
                interactions_of([(0, 1)]),
                GraphConfig(attributes=[{"column": "price", "bins": 2}]),
                pl.DataFrame({"price": column}),
            )


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 5), st.integers(0, 4), st.floats(0.125, 9, width=32), st.integers(0, 99)
        ),
        min_size=1,
        max_size=40,
    )
)
def test_equals_a_loop_over_rows(interactions_of, rows):
    interactions = interactions_of(
        rows, 6, 5, weight=[row[2] for row in rows], time=[row[3] for row in rows]
    )
    graph = build_graph(interactions, GraphConfig(use_weights=True))
    weights, times = defaultdict(float), defaultdict(int)
    for user, item, weight, time in rows:
        weights[user, item] += weight
        times[user, item] = max(times[user, item], time)
    for edge_type in (graph.target, reverse(graph.target)):
        adjacency = graph.relations[edge_type]
        found = edges(adjacency)
        ordered = list(found)
        if edge_type != graph.target:
            found = {(user, item): weight for (item, user), weight in found.items()}
        assert found == pytest.approx(dict(weights), rel=1e-6)
        assert dict(zip(found, adjacency.time.tolist(), strict=True)) == times
        assert ordered == sorted(ordered, key=lambda edge: (edge[1], edge[0]))


def test_row_order_does_not_matter(interactions_of):
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 9, (60, 2))
    hashes = set()
    for order in (np.arange(60), rng.permutation(60)):
        graph = build_graph(
            interactions_of([tuple(pair) for pair in pairs[order]], 9, 9), GraphConfig()
        )
        tensors = graph.relations[graph.target]
        hashes.add(
            hashlib.sha256(
                tensors.indices.numpy().tobytes() + tensors.weight.numpy().tobytes()
            ).hexdigest()
        )
    assert len(hashes) == 1


def test_target_behavior(interactions_of):
    assert target_behavior(interactions_of([(0, 0)]).behaviors, GraphConfig()) == "interaction"
    several = interactions_of([(0, 0)], behaviors=("buy", "view"))
    assert target_behavior(several.behaviors, GraphConfig(target="view")) == "view"
    with pytest.raises(ConfigError, match=r"graph\.target"):
        target_behavior(several.behaviors, GraphConfig())
    with pytest.raises(ConfigError, match="Did you mean 'view'"):
        target_behavior(several.behaviors, GraphConfig(target="veiw"))


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_wrong_log_weights(interactions_of, weight):
    interactions = interactions_of([(0, 0), (0, 1)], weight=[1, weight])
    with pytest.raises(DataError, match="1 of 2 rows"):
        build_graph(interactions, GraphConfig(use_weights=True))
    build_graph(interactions, GraphConfig())  # not looked at unless used


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"half_life_days": 3}, "needs times"),
        ({"behavior_weights": {"bui": 1}}, "Did you mean 'buy'"),
        ({"negative_behaviors": ["bui"]}, "Did you mean 'buy'"),
        ({"negative_behaviors": ["buy"]}, "target behaviour 'buy' is among"),
        ({"behavior_weights": {"buy": -1}}, "not a weight"),
        ({"behavior_half_life_days": {"bui": 1}}, "Did you mean 'buy'"),
        ({"behavior_half_life_days": {"buy": 1}}, "needs times"),
        ({"behavior_weights": {"buy": float("nan")}}, "not a weight"),
        ({"behavior_weights": {"buy": 0}}, "target behaviour 'buy' has weight 0"),
        ({"attributes": [{"column": "genre"}]}, "Did you mean 'genres'"),
        ({"attributes": [{"column": "genre", "side": "user"}]}, "no user table"),
        ({"attributes": [{"column": "buy"}]}, "called 'buy'"),
        ({"attributes": [{"column": "genre", "use": "feature"}]}, "Did you mean 'genres'"),
        ({"attributes": [{"column": "rev_buy"}]}, "called 'rev_buy'"),
    ],
)
def test_configurations_that_do_not_fit(interactions_of, config, message):
    table = pl.DataFrame({"genres": ["a"], "buy": ["a"], "rev_buy": ["a"]})
    with pytest.raises(ConfigError, match=message):
        build_graph(interactions_of([(0, 0)], behaviors=("buy",)), GraphConfig(**config), table)


def test_no_row_of_the_target_behaviour(interactions_of):
    interactions = interactions_of([(0, 0)], behavior=["view"], behaviors=("buy", "view"))
    with pytest.raises(DataError, match="no row is of the target behaviour 'buy'"):
        build_graph(interactions, GraphConfig(target="buy"))


def test_a_table_of_another_length(interactions_of):
    with pytest.raises(UsageError, match="has 4 rows for 1 items"):
        build_graph(interactions_of([(0, 0)]), GraphConfig(attributes=[{"column": "year"}]), ITEMS)
