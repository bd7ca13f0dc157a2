"""The numpy encoder against the torch network it was exported from: same users, same explanations."""

import numpy as np
import polars as pl
import pytest
import torch

from explaining import explain
from recsys.bundle.bundle import Bundle
from recsys.bundle.neighbours import neighbours_into_users
from recsys.closed_form.cooccurrence import cooccurrence
from recsys.core.config import AttributeConfig, GraphConfig, ModelConfig, NeighbourConfig
from recsys.core.encoder import Embeddings
from recsys.core.history import user_histories
from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions
from recsys.core.tables import BEHAVIOR, ITEM, ITEM_ID, TIME, USER, USER_ID
from recsys.encode.fold_in import UserEncoder
from recsys.graph.build import build_graph
from recsys.graph.schema import full_block
from recsys.logs.synthetic import COUNTRY, communities
from recsys.lookup.histories import read_history, read_visits
from recsys.lookup.lookup import Event, Lookup
from recsys.model.export import encoder_state
from recsys.model.history_network import HistoryNetwork
from recsys.scores.trained_vectors import decayed_edges
from recsys.train.embed import embed_histories
from recsys.train.problem import Problem, new_network
from worlds import World, write_world

FAMILIES = ["degree_prior", "history", "gat", "gatv2"]
POWERS = "degree_prior, powers of weights"


def make_world():
    """Views and buys with times, users with a country and similar users: three added relations
    besides the base.
    """
    world = communities(
        num_users=24, num_items=18, events_per_user=6, behaviors=("view", "buy"), seed=3
    )
    users, items = (IdMap(world.log[name].unique().sort(), name[:4]) for name in (USER_ID, ITEM_ID))
    log_rows = world.log.sort(TIME).unique(
        [USER_ID, ITEM_ID, BEHAVIOR], keep="first", maintain_order=True
    )
    rows = log_rows.with_columns(
        pl.Series(USER, users.lookup(log_rows[USER_ID].to_list())),
        pl.Series(ITEM, items.lookup(log_rows[ITEM_ID].to_list())),
    ).select(USER, ITEM, TIME, BEHAVIOR)
    log = fit_interactions(rows, users, items, ("view", "buy"))
    table = pl.DataFrame({USER_ID: users.ids}).join(
        world.users, on=USER_ID, how="left", maintain_order="left"
    )
    config = GraphConfig(
        target="buy",
        half_life_days=30,
        behavior_half_life_days={"view": 12},
        attributes=[AttributeConfig(side="user", column=COUNTRY)],
        behavior_weights={"view": 0.5},
        user_neighbours=NeighbourConfig(top_n=3, min_shared=1),
    )
    similar = {
        USER: cooccurrence(log.matrix(("buy",)).T.tocsr(), **config.user_neighbours.model_dump())
    }
    return log, build_graph(log, config, None, table, similar), config


@pytest.fixture(params=[*FAMILIES, POWERS])
def trained(request):
    """A network whose every parameter was moved away from its start, and what it exports."""
    log, graph, config = make_world()
    family = request.param.split(",")[0]
    model = ModelConfig(
        family=family, width=8, layers=2, heads=2, learn_weight_power=request.param == POWERS
    )
    network = new_network(Problem(log, graph, model, 1))
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=draws))
    if isinstance(network, HistoryNetwork):
        return log, graph, embed_histories(network, graph, log, config)
    with torch.no_grad():
        states = list(network.layer_states(full_block(graph)))
        vectors = network(full_block(graph))
        encoder = encoder_state(network, graph, states, log, config)
    own = states[0]["user"].detach().numpy()
    return log, graph, Embeddings(vectors["user"].numpy(), vectors["item"].numpy(), own, encoder)


def neighbours_of(log, graph, found):
    """What a bundle keeps: the edges into users as their encoder weighs them."""
    neighbours = neighbours_into_users(graph.relations)
    return decayed_edges(neighbours, user_histories(log), found.encoder)


def test_every_trained_vector_is_reproduced(trained):
    log, graph, found = trained
    vectors = UserEncoder(found.encoder).encode(neighbours_of(log, graph, found), found.user_self)
    assert np.abs(vectors - found.users).max() < 1e-5


def test_parts_and_rest_sum_to_the_trained_score(trained):
    log, graph, found = trained
    encoder, everybody = UserEncoder(found.encoder), neighbours_of(log, graph, found)
    for user, item in [(0, 0), (5, 11), (23, 17)]:
        neighbours = {name: matrix[user] for name, matrix in everybody.items()}
        why = explain(encoder, neighbours, found.items[item], found.user_self[user : user + 1])
        assert why.score == pytest.approx(float(found.users[user] @ found.items[item]), abs=1e-5)
        assert sum(part.value for part in why.parts) + why.rest == pytest.approx(
            why.score, abs=1e-5
        )
        assert {part.relation for part in why.parts} == {
            name for name, row in neighbours.items() if row.nnz
        }


def test_the_bundle_serves_it(trained, tmp_path):
    log, graph, found = trained
    neighbours = neighbours_of(log, graph, found)
    contents = World(found, log, "buy", neighbours, labels=graph.labels)
    lookup = Lookup(Bundle.load(write_world(tmp_path, contents)))
    user = log.users.ids[4]
    [answer] = lookup.recommend([user], 3, exclude_seen=False)
    best = np.argsort(-(found.items @ found.users[4]), kind="stable")[:3]
    assert [item["id"] for item in answer["items"]] == log.items.external(best)
    why = lookup.explain(user, answer["items"][0]["id"])
    assert any(part["type"].startswith("user:") for part in why["parts"])
    assert any(
        part["relation"] == "similar_users" and part["id"] in log.users.ids for part in why["parts"]
    )
    [visitor] = lookup.recommend(histories=[log.items.ids.head(2).to_list()], k=3)
    assert visitor["source"] == "fold_in"


def test_a_history_weighs_what_the_graph_weighs(trained, tmp_path):
    """A user's own rows, given as events of a visitor with their times, make the edges that the
    graph has.
    """
    log, graph, found = trained
    neighbours = neighbours_of(log, graph, found)
    bundle = Bundle.load(
        write_world(tmp_path, World(found, log, "buy", neighbours, labels=graph.labels))
    )
    for name in ("view", "buy"):
        rows = (log.user == 2) & log.of(name)
        times = zip(log.items.external(log.item[rows]), log.time[rows], strict=True)
        events = [Event(item, name, float(time)) for item, time in times]
        [visit] = read_visits(bundle, [read_history(bundle, events)[0]], ())
        given, kept = visit.neighbours[f"rev_{name}"], neighbours[f"rev_{name}"][2]
        assert given.indices.tolist() == kept.indices.tolist()
        assert np.allclose(given.values, kept.data, rtol=1e-5)


def test_a_visitor_who_says_it_all_is_a_user_with_these_neighbours(trained, tmp_path):
    """Every event of a user and the country: the vector of a user with this row of the graph and no
    name.
    """
    log, graph, found = trained
    neighbours = neighbours_of(log, graph, found)
    lookup = Lookup(
        Bundle.load(
            write_world(tmp_path, World(found, log, "buy", neighbours, labels=graph.labels))
        )
    )
    rows = log.user == 2
    behaviors = [log.behaviors[one] for one in log.behavior[rows]]
    events = [
        Event(*one)
        for one in zip(log.items.external(log.item[rows]), behaviors, log.time[rows], strict=True)
    ]
    [country] = neighbours["rev_country"][2].indices
    given = {name: neighbours[name][2] for name in ("rev_view", "rev_buy", "rev_country")}
    vector = lookup.fold_in(events, {COUNTRY: graph.labels[f"user:{COUNTRY}"][country]})
    assert np.allclose(vector, UserEncoder(found.encoder).encode(given)[0], atol=1e-6)
