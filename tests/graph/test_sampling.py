"""Blocks: equal to the naive neighbourhood when everything is drawn, and what must hold of every
sample.
"""

import hashlib
import subprocess
import sys
import threading

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import HAS_DGL
from recsys.closed_form.cooccurrence import cooccurrence
from recsys.core.config import GraphConfig
from recsys.core.errors import UsageError
from recsys.graph.build import build_graph
from recsys.graph.draw import CsrDraw
from recsys.graph.engine import draw_by
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import full_block, reverse

TARGET = ("user", "buy", "item")
EMPTY = (torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))


@pytest.fixture(scope="module")
def graph(interactions_of):
    """40 users, 30 items, two behaviours, genres, similar items; user 39 and item 29 have no edge."""
    rng = np.random.default_rng(1)
    pairs = [
        (int(user), int(item))
        for user, item in zip(rng.integers(0, 39, 400), rng.integers(0, 29, 400), strict=True)
    ]
    interactions = interactions_of(
        pairs,
        40,
        30,
        behavior=[("buy", "view")[one] for one in rng.integers(0, 2, 400)],
        behaviors=("buy", "view"),
        weight=list(rng.uniform(0.5, 2, 400)),
    )
    items = pl.DataFrame({"genres": [["a", "b", "c"][: one % 4] for one in range(30)]})
    config = GraphConfig(
        target="buy", use_weights=True, attributes=[{"column": "genres"}], item_neighbours={}
    )
    return build_graph(
        interactions, config, items, None, {"item": cooccurrence(interactions.matrix(), top_n=2)}
    )


def pairs_of(adjacency):
    return list(zip(adjacency.indices.tolist(), adjacency.destinations().tolist(), strict=True))


def global_edges(block, edge_type):
    """[(source, destination)] of a block's relation in the ids of the graph."""
    sources, destinations = block.nodes[edge_type[0]], block.nodes[edge_type[2]]
    return [
        (int(sources[u]), int(destinations[v]))
        for u, v in pairs_of(block.messages[edge_type].adjacency)
    ]


def excluded_edges(edge_type, exclude):
    users, items = (ids.tolist() for ids in exclude)
    if edge_type == TARGET:
        return set(zip(users, items, strict=True))
    return set(zip(items, users, strict=True)) if edge_type == reverse(TARGET) else set()


def naive_neighbourhood(graph, nodes, exclude):
    """One layer by loops: {edge type: edges into `nodes` but for the excluded}, and all nodes then
    known.
    """
    layer, known = {}, {node_type: set(ids) for node_type, ids in nodes.items()}
    for edge_type, adjacency in graph.relations.items():
        out = excluded_edges(edge_type, exclude)
        layer[edge_type] = {
            (u, v) for u, v in pairs_of(adjacency) if v in nodes[edge_type[2]] and (u, v) not in out
        }
        known[edge_type[0]] |= {u for u, _ in layer[edge_type]}
    return layer, known


def check_shape(graph, blocks, seeds):
    """Seeds first, nested, numbered without repeats, and every array as long as documented."""
    for node_type in graph.num_nodes:
        expected = seeds.get(node_type, EMPTY[0])
        for block in reversed(blocks):
            ids = block.nodes[node_type]
            assert block.num_dst[node_type] == len(expected)
            assert torch.equal(ids[: len(expected)], expected)
            assert len(torch.unique(ids)) == len(ids)
            expected = ids
    whole = full_block(graph).messages
    for block in blocks:
        assert list(block.messages) == list(graph.relations)
        for edge_type, messages in block.messages.items():
            sources, rows = (
                block.nodes[edge_type[0]],
                block.nodes[edge_type[2]][: block.num_dst[edge_type[2]]],
            )
            assert messages.adjacency.num_src == len(sources)
            assert messages.adjacency.num_dst == len(rows)
            assert torch.equal(messages.source_degree, whole[edge_type].source_degree[sources])
            assert torch.equal(messages.target_degree, whole[edge_type].target_degree[rows])
            assert torch.equal(messages.global_rows, rows)


def check_edges(graph, blocks, fanouts, exclude):
    """Every edge exists with its weight, none twice, none excluded, at most the fan-out a row;
    scales as documented.
    """
    for block, fanout in zip(reversed(blocks), fanouts, strict=True):
        for edge_type, messages in block.messages.items():
            adjacency = graph.relations[edge_type]
            weight = dict(zip(pairs_of(adjacency), adjacency.weight.tolist(), strict=True))
            drawn = global_edges(block, edge_type)
            assert len(set(drawn)) == len(drawn)
            assert not set(drawn) & excluded_edges(edge_type, exclude)
            assert [weight[edge] for edge in drawn] == messages.adjacency.weight.tolist()
            per_row = messages.adjacency.indptr.diff()
            full = adjacency.indptr.diff()[messages.global_rows]
            assert fanout == -1 or (per_row <= fanout).all()
            assert torch.equal(
                messages.row_scale, torch.where(per_row > 0, full / per_row.clamp(min=1), 1.0)
            )


@pytest.fixture(params=["csr", "dgl"] if HAS_DGL else ["csr"], scope="module")
def draw(request, graph):
    return draw_by(request.param, graph)


@pytest.mark.parametrize("excludes", [0, 50])
def test_all_neighbours_equal_the_naive_neighbourhood(graph, draw, excludes):
    exclude = tuple(
        torch.tensor(ids[:excludes]) for ids in zip(*pairs_of(graph.relations[TARGET]), strict=True)
    )
    seeds = {"user": torch.tensor([7, 39, 3]), "item": torch.tensor([29, 0])}
    blocks = BlockSampler(graph, [-1], 3, draw).sample(seeds, exclude)
    check_shape(graph, blocks, seeds)
    check_edges(graph, blocks, [-1] * 3, exclude)
    nodes = {
        node_type: set(seeds[node_type].tolist() if node_type in seeds else [])
        for node_type in graph.num_nodes
    }
    for block in reversed(blocks):
        layer, nodes = naive_neighbourhood(graph, nodes, exclude)
        assert {edge_type: set(global_edges(block, edge_type)) for edge_type in layer} == layer
        assert {node_type: set(ids.tolist()) for node_type, ids in block.nodes.items()} == nodes


@settings(max_examples=40)
@given(
    data=st.data(),
    seed=st.integers(0, 2**40),
    fanouts=st.lists(st.sampled_from([-1, 1, 2, 5, 30]), min_size=1, max_size=3),
)
def test_every_sample(graph, draw, data, seed, fanouts):
    ids = {"user": st.integers(0, 39), "item": st.integers(0, 29), "item:genres": st.integers(0, 2)}
    seeds = {
        node_type: torch.tensor(data.draw(st.lists(one, unique=True)), dtype=torch.int64)
        for node_type, one in ids.items()
    }
    edges = [*pairs_of(graph.relations[TARGET]), (39, 29)]
    chosen = data.draw(st.lists(st.sampled_from(edges), max_size=60))
    exclude = tuple(
        torch.tensor([edge[side] for edge in chosen], dtype=torch.int64) for side in (0, 1)
    )
    blocks = BlockSampler(graph, fanouts, len(fanouts), draw).sample(seeds, exclude, seed)
    check_shape(graph, blocks, seeds)
    check_edges(graph, blocks, fanouts, exclude)


def test_rows_are_full_up_to_the_fanout(graph, draw):
    blocks = BlockSampler(graph, [4], 1, draw).sample({"user": torch.arange(40)}, None, 3)
    for edge_type, messages in blocks[0].messages.items():
        full = graph.relations[edge_type].indptr.diff()[messages.global_rows]
        assert torch.equal(messages.adjacency.indptr.diff(), full.clamp(max=4))


def test_other_behaviours_of_an_excluded_pair_stay(interactions_of):
    interactions = interactions_of(
        [(0, 0), (0, 0), (0, 0)], behavior=["buy", "buy", "view"], behaviors=("buy", "view")
    )
    graph = build_graph(interactions, GraphConfig(target="buy"))
    seeds = {"user": torch.tensor([0]), "item": torch.tensor([0])}
    for block in BlockSampler(graph, [5], 2).sample(seeds, (torch.tensor([0]), torch.tensor([0]))):
        edges = {
            edge_type[1]: messages.adjacency.num_edges
            for edge_type, messages in block.messages.items()
        }
        assert edges == {"buy": 0, "rev_buy": 0, "view": 1, "rev_view": 1}
        assert block.messages[TARGET].row_scale.tolist() == [1]


def test_one_edge_by_hand(interactions_of):
    graph = build_graph(interactions_of([(1, 0)], 2, 2), GraphConfig())
    (block,) = BlockSampler(graph, [3], 1).sample({"item": torch.tensor([1, 0])})
    messages = block.messages["user", "interaction", "item"]
    assert block.nodes["user"].tolist() == [1]
    assert block.nodes["item"].tolist() == [1, 0]
    assert messages.adjacency.indptr.tolist() == [0, 0, 1]
    assert messages.adjacency.indices.tolist() == [0]
    assert messages.row_scale.tolist() == [1, 1]
    assert block.messages["item", "rev_interaction", "user"].adjacency.num_dst == 0


def test_no_seeds_and_relations_without_edges(interactions_of):
    items = pl.DataFrame({"tags": pl.Series([None], dtype=pl.String)})
    graph = build_graph(
        interactions_of([(0, 0)]), GraphConfig(attributes=[{"column": "tags"}]), items
    )
    for seeds in ({}, {"item": torch.tensor([0])}):
        blocks = BlockSampler(graph, [2], 2).sample(seeds, EMPTY)
        check_shape(graph, blocks, seeds)
        check_edges(graph, blocks, [2, 2], EMPTY)


def test_wrong_calls(graph):
    for fanouts in ([], [0], [5, -2]):
        with pytest.raises(UsageError, match="fanouts"):
            BlockSampler(graph, fanouts, 2)
    with pytest.raises(UsageError, match="not unique"):
        BlockSampler(graph, [2], 1).sample({"user": torch.tensor([1, 1])})
    with pytest.raises(UsageError, match="no node type 'usr'"):
        BlockSampler(graph, [2], 1).sample({"usr": torch.tensor([1])})


def digest(blocks):
    total = hashlib.sha256()
    for block in blocks:
        tensors = list(block.nodes.values())
        for messages in block.messages.values():
            adjacency = messages.adjacency
            tensors += [adjacency.indptr, adjacency.indices, adjacency.weight, messages.row_scale]
        for tensor in tensors:
            total.update(tensor.numpy().tobytes())
    return total.hexdigest()


def test_seeds_of_the_stream(graph):
    sampler = BlockSampler(graph, [3, 2], 2)
    seeds = {"user": torch.arange(20)}
    assert digest(sampler.sample(seeds, None, 5)) == digest(sampler.sample(seeds, None, 5))
    assert digest(sampler.sample(seeds, None, 5)) != digest(sampler.sample(seeds, None, 6))


def test_no_two_draws_share_a_key(graph):
    draw, keys = CsrDraw(graph), []

    def recording(edge_type, rows, fanout, key):
        keys.append(key)
        return draw(edge_type, rows, fanout, key)

    for seed in (0, 1):
        BlockSampler(graph, [2], 3, recording).sample({"user": torch.arange(3)}, None, seed)
    assert len(set(keys)) == len(keys) == 2 * 3 * len(graph.relations)


def test_scaled_mass_is_unbiased(graph):
    """In-block mass × row_scale, averaged over seeds, is the mass of the full neighbourhood."""
    sampler, total, seeds = BlockSampler(graph, [3], 1), torch.zeros(29), {"item": torch.arange(29)}
    for seed in range(1000):
        messages = sampler.sample(seeds, None, seed)[0].messages[TARGET]
        mass = torch.zeros(29).index_add_(
            0, messages.adjacency.destinations(), messages.adjacency.weight
        )
        total += mass * messages.row_scale
    torch.testing.assert_close(total / 1000, messages.target_degree, rtol=0.05, atol=1e-6)


def test_threads_at_once_draw_the_same(graph):
    sampler = BlockSampler(graph, [3, 2], 2)
    seeds = {"user": torch.arange(20)}
    alone = [digest(sampler.sample(seeds, None, seed)) for seed in range(8)]
    found = {}
    threads = [
        threading.Thread(
            target=lambda seed=seed: found.update({seed: digest(sampler.sample(seeds, None, seed))})
        )
        for seed in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[seed] for seed in range(8)] == alone


PROGRAM = """
import hashlib, sys
import numpy as np, torch
import recsys.graph.build
from recsys.graph.edges import collapse, transpose
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import Graph, reverse

rng = np.random.default_rng(0)
edges = collapse(rng.integers(0, 50, 900), rng.integers(0, 60, 900), np.ones(900), None, 50, 60)
target = ("user", "buy", "item")
graph = Graph({"user": 60, "item": 50}, {target: edges, reverse(target): transpose(edges)}, target)
exclude = (edges.indices[:40].long(), edges.destinations()[:40])
total = hashlib.sha256()
for seed in range(3):
    for block in BlockSampler(graph, [4, 3], 2).sample({"user": torch.arange(30)}, exclude, seed):
        for messages in block.messages.values():
            total.update(messages.adjacency.indices.numpy().tobytes() + messages.row_scale.numpy().tobytes())
found = total.hexdigest()
"""


def test_another_process_with_other_threads_draws_the_same_and_needs_no_dgl():
    here: dict[str, str] = {}
    exec(PROGRAM, here)
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM + "print(found, 'dgl' in sys.modules)"],
        env={"PATH": "", "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == [here["found"], "False"]
