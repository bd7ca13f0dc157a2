"""A graph comes back as it was saved, and the same graph gives the same bytes."""

import json

import polars as pl
import pytest
import torch

from recsys.core.artefacts import content_sha256
from recsys.core.config import GraphConfig
from recsys.core.errors import DataError
from recsys.graph.build import build_graph
from recsys.graph.store import load_graph, save_graph


@pytest.fixture
def graph(interactions_of):
    table = pl.DataFrame(
        {"genres": ["ä|\n", None], "empty": pl.Series([None, None], dtype=pl.String)}
    )
    config = GraphConfig(
        target="buy",
        attributes=[{"column": "genres", "separator": "|"}, {"column": "empty"}],
        behavior_weights={"cart": 0},
    )
    interactions = interactions_of(
        [(0, 1), (1, 0), (0, 0)],
        behavior=["buy", "view", "cart"],
        behaviors=("view", "cart", "buy"),
        time=[3, 4, 5],
    )
    return build_graph(interactions, config, table)


def test_roundtrip(graph, tmp_path):
    save_graph(graph, tmp_path / "graph")
    loaded = load_graph(tmp_path / "graph")
    assert list(loaded.num_nodes.items()) == list(graph.num_nodes.items())
    assert list(loaded.relations) == list(graph.relations)
    assert (loaded.target, loaded.labels, loaded.drops) == (graph.target, graph.labels, graph.drops)
    for edge_type, adjacency in graph.relations.items():
        again = loaded.relations[edge_type]
        assert again.num_src == adjacency.num_src
        for name in ("indptr", "indices", "weight", "time"):
            mine, theirs = getattr(adjacency, name), getattr(again, name)
            assert (mine is None and theirs is None) or (
                mine.dtype == theirs.dtype and torch.equal(mine, theirs)
            )


def test_same_bytes_and_replaced_whole(graph, tmp_path):
    for name in ("first", "second", "second"):
        save_graph(graph, tmp_path / name)
    assert content_sha256(tmp_path / "first") == content_sha256(tmp_path / "second")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_damaged_and_absent_folders(graph, tmp_path):
    with pytest.raises(DataError, match="not a whole saved graph"):
        load_graph(tmp_path / "absent")
    folder = tmp_path / "graph"
    save_graph(graph, folder)
    edges = folder / "edges.safetensors"
    edges.write_bytes(edges.read_bytes()[:40])
    with pytest.raises(DataError, match="not a whole saved graph"):
        load_graph(folder)


def test_another_format(graph, tmp_path):
    folder = tmp_path / "graph"
    save_graph(graph, folder)
    document = json.loads((folder / "graph.json").read_text())
    (folder / "graph.json").write_text(json.dumps(document | {"format": 99}))
    with pytest.raises(DataError, match="format 99"):
        load_graph(folder)
