"""Time-respecting blocks: what a node may see is what a loop over the edges before its time gives."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.core.config import GraphConfig
from recsys.core.errors import UsageError
from recsys.graph.build import build_graph
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import reverse
from recsys.graph.temporal import TemporalSampler

TARGET = ("user", "buy", "item")


@pytest.fixture(scope="module")
def graph(interactions_of):
    """12 users, 9 items, times 0 to 49 with many ties, two behaviours, genres."""
    rng = np.random.default_rng(2)
    pairs = list(
        zip(rng.integers(0, 12, 150).tolist(), rng.integers(0, 9, 150).tolist(), strict=True)
    )
    interactions = interactions_of(
        pairs,
        12,
        9,
        behavior=[("buy", "view")[one] for one in rng.integers(0, 2, 150)],
        behaviors=("buy", "view"),
        weight=rng.uniform(0.5, 2, 150).tolist(),
        time=rng.integers(0, 50, 150).tolist(),
    )
    items = pl.DataFrame({"genres": [["a", "b"][: one % 3] for one in range(9)]})
    return build_graph(
        interactions,
        GraphConfig(target="buy", use_weights=True, attributes=[{"column": "genres"}]),
        items,
    )


def visible(graph, edge_type, node, time):
    """{source: weight} of the edges into `node` before `time`, by a loop."""
    adjacency = graph.relations[edge_type]
    low, high = adjacency.indptr[node : node + 2].tolist()
    return {
        int(adjacency.indices[place]): float(adjacency.weight[place])
        for place in range(low, high)
        if adjacency.time is None or adjacency.time[place] < time
    }


def check(graph, blocks, seeds, before, fanouts):
    """Follows the query times from the seeds outwards and compares every row with the loop."""
    times = {one: before.get(one, torch.empty(0)).tolist() for one in graph.num_nodes}
    for node_type, ids in seeds.items():
        assert blocks[-1].nodes[node_type][: len(ids)].tolist() == ids.tolist()
    for block, fanout in zip(reversed(blocks), fanouts, strict=True):
        outer = {
            one: times[one] + [None] * (len(block.nodes[one]) - len(times[one]))
            for one in graph.num_nodes
        }
        for edge_type, messages in block.messages.items():
            adjacency = messages.adjacency
            for row in range(adjacency.num_dst):
                node, time = int(block.nodes[edge_type[2]][row]), times[edge_type[2]][row]
                seen = visible(graph, edge_type, node, time)
                local = slice(*adjacency.indptr[row : row + 2].tolist())
                senders = adjacency.indices[local].tolist()
                ids = block.nodes[edge_type[0]][senders].tolist()
                assert (
                    dict(zip(ids, adjacency.weight[local].tolist(), strict=True)).items()
                    <= seen.items()
                )
                assert (
                    len(ids)
                    == len(set(ids))
                    == (len(seen) if fanout == -1 else min(fanout, len(seen)))
                )
                assert messages.row_scale[row] == pytest.approx(len(seen) / len(ids) if ids else 1)
                assert messages.target_degree[row] == pytest.approx(
                    sum(seen.values()), rel=1e-5, abs=1e-6
                )
                for sender in senders:
                    assert outer[edge_type[0]][sender] in (None, time)
                    outer[edge_type[0]][sender] = time
        times = outer
        assert all(None not in some for some in times.values())
        for edge_type, messages in block.messages.items():
            for place, (node, time) in enumerate(
                zip(block.nodes[edge_type[0]].tolist(), times[edge_type[0]], strict=True)
            ):
                sent = sum(visible(graph, reverse(edge_type), node, time).values())
                assert messages.source_degree[place] == pytest.approx(sent, rel=1e-5, abs=1e-6)
        for node_type, some in times.items():
            moments = list(zip(block.nodes[node_type].tolist(), some, strict=True))
            assert len(set(moments)) == len(moments)


@settings(max_examples=25)
@given(
    users=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 51)), unique=True, max_size=4),
    items=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 51)), unique=True, max_size=4),
    fanouts=st.lists(st.sampled_from([-1, 1, 3]), min_size=1, max_size=2),
    seed=st.integers(0, 99),
)
def test_only_the_past_is_seen(graph, users, items, fanouts, seed):
    pairs = {"user": users, "item": items}
    seeds, before = (
        {
            one: torch.tensor([pair[side] for pair in some], dtype=torch.int64)
            for one, some in pairs.items()
        }
        for side in (0, 1)
    )
    blocks = TemporalSampler(graph, fanouts, len(fanouts)).sample(seeds, before, seed)
    check(graph, blocks, seeds, before, fanouts)


def test_at_the_end_of_time_it_is_the_whole_neighbourhood(graph):
    seeds = {"user": torch.arange(5)}
    late = TemporalSampler(graph, [-1], 2).sample(seeds, {"user": torch.full((5,), 50)})
    plain = BlockSampler(graph, [-1], 2).sample(seeds)
    for mine, theirs in zip(late, plain, strict=True):
        for node_type, ids in theirs.nodes.items():
            assert mine.nodes[node_type].tolist() == ids.tolist()
        for edge_type, messages in theirs.messages.items():
            assert mine.messages[edge_type].adjacency.num_edges == messages.adjacency.num_edges
            torch.testing.assert_close(
                mine.messages[edge_type].source_degree, messages.source_degree
            )


def test_the_pair_asked_about_is_not_seen(interactions_of):
    graph = build_graph(interactions_of([(0, 0), (0, 1)], time=[10, 20]), GraphConfig())
    (block,) = TemporalSampler(graph, [-1], 1).sample(
        {"user": torch.tensor([0, 0])}, {"user": torch.tensor([20, 21])}
    )
    rows = block.messages["item", "rev_interaction", "user"].adjacency
    assert rows.indptr.tolist() == [0, 1, 3]
    assert block.nodes["item"][rows.indices].tolist() == [0, 0, 1]
    assert len(block.nodes["item"]) == 3  # item 0 as of 20 and as of 21


def test_similar_items_know_all_times(interactions_of):
    interactions = interactions_of([(0, 0), (0, 1)], time=[10, 20])
    similar = {"item": sparse.csr_matrix(np.array([[0.0, 1.0], [1.0, 0.0]]))}
    graph = build_graph(interactions, GraphConfig(item_neighbours={}), similar=similar)
    with pytest.raises(UsageError, match="'similar_items' counts interactions of all times"):
        TemporalSampler(graph, [2], 1)


def test_wrong_calls(graph):
    sampler = TemporalSampler(graph, [2], 1)
    with pytest.raises(UsageError, match="2 'user' seeds came with 1 query times"):
        sampler.sample({"user": torch.arange(2)}, {"user": torch.arange(1)})
    with pytest.raises(UsageError, match="stands twice"):
        sampler.sample({"user": torch.tensor([1, 1])}, {"user": torch.tensor([5, 5])})
