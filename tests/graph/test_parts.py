"""Parts of a graph, taken away one at a time."""

from dataclasses import replace

import torch

from recsys.core.config import GraphConfig
from recsys.core.features import FeatureColumn
from recsys.graph.parts import configured_parts, has_part, part_of, without
from recsys.graph.schema import Adjacency, Features, Graph


def empty(sources: int, destinations: int) -> Adjacency:
    nothing = torch.empty(0, dtype=torch.int32)
    return Adjacency(
        torch.zeros(destinations + 1, dtype=torch.int32), nothing, torch.empty(0), sources
    )


def make_graph_of_parts() -> Graph:
    nodes = {"user": 2, "item": 3, "item:genres": 2, "item:kg": 4}
    relations = {}
    for source, name, destination in (
        ("user", "buy", "item"),
        ("item", "genres", "item:genres"),
        ("item", "kg:actor", "item:kg"),
        ("item", "kg:film", "item:kg"),
    ):
        relations[source, name, destination] = empty(nodes[source], nodes[destination])
        relations[destination, f"rev_{name}", source] = empty(nodes[destination], nodes[source])
    return Graph(
        nodes,
        relations,
        ("user", "buy", "item"),
        {"item:genres": ("a", "b"), "item:kg": ("p", "q", "r", "s")},
    )


def test_parts_of_a_configuration() -> None:
    config = GraphConfig.model_validate(
        {
            "target": "buy",
            "behavior_weights": {"buy": 1, "view": 0.5, "cart": 0},
            "attributes": [{"column": "genres"}, {"column": "age", "side": "user"}],
            "relations": [{"name": "trusts", "file": "t.csv", "between": ["user", "user"]}],
            "knowledge": [{"file": "kg.csv", "links": "links.csv"}],
            "sessions": {},
            "item_neighbours": {},
        }
    )
    assert configured_parts(config) == [
        "view",
        "genres",
        "age",
        "trusts",
        "kg",
        "next",
        "similar_items",
    ]
    assert configured_parts(GraphConfig()) == []


def test_the_part_of_a_relation() -> None:
    assert part_of("rev_genres", ["genres"]) == "genres"
    assert part_of("rev_kg:actor:items", ["kg"]) == "kg"
    assert part_of("a:b", ["kg"]) == part_of("a:b", ["a", "a:b"]) == "a:b"


def test_what_is_left_without_a_part() -> None:
    graph = make_graph_of_parts()
    left = without(graph, "kg")
    assert {name for _, name, _ in left.relations} == {"buy", "rev_buy", "genres", "rev_genres"}
    assert left.num_nodes == {"user": 2, "item": 3, "item:genres": 2} and set(left.labels) == {
        "item:genres"
    }
    assert without(graph, "nothing").relations.keys() == graph.relations.keys()


def test_columns_of_features_are_parts_too() -> None:
    """Of each node type the columns of that name go, and the numbers of the others stay."""
    price = FeatureColumn("price", (0.0,))
    colour = FeatureColumn("colour", (0.0, 0.0), labels=("blue", "red"))
    size = FeatureColumn("size", (1.0,))
    values = torch.arange(12.0).reshape(3, 4)
    features = {
        "item": Features((price, colour, size), values),
        "user": Features((colour,), torch.ones(2, 2)),
    }
    graph = replace(make_graph_of_parts(), features=features)
    assert has_part(graph, "colour") and has_part(graph, "kg") and not has_part(graph, "weight")
    left = without(graph, "colour")
    assert set(left.features) == {"item"}
    assert left.features["item"].columns == (price, size)
    assert left.features["item"].values.tolist() == values[:, [0, 3]].tolist()
    assert not has_part(left, "colour")
    assert left.relations.keys() == graph.relations.keys()
    assert without(without(left, "price"), "size").features == {}
