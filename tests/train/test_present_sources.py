"""A step's block without the nodes that send nothing: the same vectors as with all of them."""

import numpy as np
import polars as pl
import torch

from recsys.core.config import GraphConfig, ModelConfig, with_overrides
from recsys.graph.behaviors import history_blocks_of
from recsys.graph.build import build_graph
from recsys.graph.present_sources import with_present_sources
from recsys.graph.schema import ITEM, USER
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.model.history_network import HistoryNetwork, history_blocks
from recsys.phases.phase import Phase
from recsys.train.problem import Problem, first_network

MODEL = ModelConfig(family="history", width=8, heads=2, history=5)


def test_users_have_the_same_vectors(make_phase):
    phase = make_phase(communities(num_users=40, num_items=30, events_per_user=6, seed=2).log)
    graph = build_graph(phase, GraphConfig())
    network = first_network(Problem(phase, graph, MODEL)).eval()
    assert isinstance(network, HistoryNetwork)
    blocks = history_blocks_of(graph, phase, MODEL)
    pairs = np.array([0, 7, 7, 30])
    users = np.repeat(np.arange(phase.num_users), np.bincount(phase.user))[pairs]
    block = blocks.before(pairs, users, (3,))
    wanted = torch.tensor([29, 2, 2])
    fewer = with_present_sources(block, {ITEM: wanted})

    sent = {int(item) for of in block.messages.values() for item in of.adjacency.indices}
    assert fewer.nodes[ITEM].tolist() == sorted(sent | {2, 29})
    assert len(fewer.nodes[ITEM]) < phase.num_items
    assert torch.equal(fewer.nodes[USER], block.nodes[USER])

    messages = network.messages_of_nodes(history_blocks(graph, MODEL.layers))
    of_all = network.with_own(messages)
    ids = fewer.nodes[ITEM]
    of_some = network.with_own({ITEM: messages[ITEM][ids]}, {ITEM: ids})
    assert torch.allclose(of_some[ITEM], of_all[ITEM][ids])
    expected = network.users(of_all, block)
    assert torch.allclose(network.users(of_some, fewer), expected, atol=1e-6)


def test_attributes_that_no_user_of_a_step_has(tmp_path):
    """A relation into users without an edge leaves no source of its kind at all."""
    config = with_overrides(
        {},
        [
            "data.time_col=timestamp",
            'graph.attributes=[{column="country", side="user"}]',
            "model.width=8",
            "model.heads=2",
        ],
    )
    world = communities(num_users=20, num_items=12, events_per_user=5, seed=4)
    countries = world.users.with_columns(
        country=pl.when(pl.int_range(pl.len()) < 2).then(pl.lit("NO")).otherwise(None)
    )
    users = tmp_path / "users.parquet"
    countries.write_parquet(users)
    config = with_overrides(config.model_dump(), [f"data.users={users}"])
    ingest(world.log, config.data, config.clean, tmp_path / "log")
    coded = load_log(tmp_path / "log")
    phase = Phase("select", coded, split_log(coded, config.split, "interaction", 0), config)
    network = first_network(Problem(phase.interactions, phase.graph, config.model))
    assert isinstance(network, HistoryNetwork)
    blocks = history_blocks_of(phase.graph, phase.interactions, config.model)
    pair = np.array([phase.interactions.matrix().indptr[10]])
    fewer = with_present_sources(
        blocks.before(pair, np.array([10]), (0,)), {ITEM: torch.tensor([0])}
    )
    [kind] = [kind for kind in fewer.nodes if kind not in (USER, ITEM)]
    assert len(fewer.nodes[kind]) == 0

    messages = network.messages_of_nodes(history_blocks(phase.graph, config.model.layers))
    kept = {name: messages[name][ids] for name, ids in fewer.nodes.items() if name != USER}
    ids = {name: fewer.nodes[name] for name in kept}
    vectors = network.users(network.with_own(kept, ids), fewer)
    vectors.sum().backward()
    assert vectors.isfinite().all()


def test_no_edge_at_all_leaves_what_is_wanted(make_phase):
    phase = make_phase(communities(num_users=10, num_items=8, events_per_user=3, seed=0).log)
    graph = build_graph(phase, GraphConfig())
    blocks = history_blocks_of(graph, phase, MODEL)
    nobody = np.empty(0, np.int64)
    fewer = with_present_sources(blocks.before(nobody, nobody, (0,)), {ITEM: torch.tensor([5, 1])})
    assert fewer.nodes[ITEM].tolist() == [1, 5]
