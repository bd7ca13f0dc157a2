"""Social, item–item, knowledge and attribute relations in a bundle: scores, explanations and
fold-in keep their identity.
"""

import numpy as np
import polars as pl
import pytest
import torch

from explaining import explain
from recsys.bundle.bundle import Bundle
from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.config import GraphConfig, ModelConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.encoder import Embeddings
from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions
from recsys.core.tables import BEHAVIOR, ITEM, ITEM_ID, TIME, USER, USER_ID
from recsys.encode.fold_in import UserEncoder
from recsys.graph.build import build_graph
from recsys.graph.schema import Graph, full_block
from recsys.logs.synthetic import communities
from recsys.lookup.lookup import Event, Lookup
from recsys.model.export import encoder_state
from recsys.model.network import Network
from worlds import World, write_world

USERS, ITEMS = 24, 18
FILES = ("trust", "friends", "wishes", "cites", "clubs", "brands")


def pairs_of(
    draw: np.random.Generator, left: int, right: int, count: int, other: str = ""
) -> pl.DataFrame:
    """Distinct pairs that leave out every fifth node on the left; the right ends are text where
    `other` names them.
    """
    rows = draw.integers(0, (left, right), (count, 2))
    frame = pl.DataFrame(
        {"source": rows[:, 0], "destination": rows[:, 1]},
        schema={"source": pl.Int32, "destination": pl.Int32},
    )
    frame = frame.filter(
        (pl.col("source") % 5 != 0) & (pl.col("source") != pl.col("destination"))
    ).unique(maintain_order=True)
    return (
        frame.with_columns(pl.format(other + "{}", "destination").alias("destination"))
        if other
        else frame
    )


def make_relations(draw: np.random.Generator) -> list[EdgeRows]:
    """Who trusts whom (directed, weighted), friends, wish lists, citations, clubs of users, brands,
    a knowledge graph.
    """
    trust = pairs_of(draw, USERS, USERS, 40)
    weight = pl.Series("weight", draw.uniform(0.5, 2, len(trust)), dtype=pl.Float32)
    return [
        EdgeRows("trust", ("user", "user"), trust.with_columns(weight)),
        EdgeRows("friends", ("user", "user"), pairs_of(draw, USERS, USERS, 30), directed=False),
        EdgeRows("wishes", ("user", "item"), pairs_of(draw, USERS, ITEMS, 40)),
        EdgeRows("cites", ("item", "item"), pairs_of(draw, ITEMS, ITEMS, 30)),
        EdgeRows("clubs", ("user", "user:club"), pairs_of(draw, USERS, 4, 30, "club ")),
        EdgeRows("brands", ("item", "item:brand"), pairs_of(draw, ITEMS, 5, 30, "brand ")),
        EdgeRows("kg:made.by", ("item", "item:kg"), pairs_of(draw, ITEMS, 6, 30, "person ")),
        EdgeRows("kg:sequel:items", ("item", "item"), pairs_of(draw, ITEMS, ITEMS, 9)),
        EdgeRows(
            "kg:knows:entities",
            ("item:kg", "item:kg"),
            pl.DataFrame({"source": ["person 1"], "destination": ["x"]}),
        ),
    ]


def make_world(model: ModelConfig):
    """A trained-looking network over all of these, and the log it stands on."""
    world = communities(
        num_users=USERS, num_items=ITEMS, events_per_user=6, behaviors=("view", "buy"), seed=3
    )
    users, items = (IdMap(world.log[name].unique().sort(), name[:4]) for name in (USER_ID, ITEM_ID))
    log_rows = world.log.sort(TIME).unique(
        [USER_ID, ITEM_ID, BEHAVIOR], keep="first", maintain_order=True
    )
    codes = [
        pl.Series(n, m.lookup(log_rows[i].to_list()))
        for n, m, i in ((USER, users, USER_ID), (ITEM, items, ITEM_ID))
    ]
    log = fit_interactions(
        log_rows.with_columns(codes).select(USER, ITEM, TIME, BEHAVIOR),
        users,
        items,
        ("view", "buy"),
    )
    relations = make_relations(np.random.default_rng(4))
    named = [
        {"name": one.name, "file": "f.csv", "between": list(one.ends)}
        for one in relations
        if one.name in FILES
    ]
    config = GraphConfig(
        target="buy",
        half_life_days=30,
        relations=named,
        knowledge=[{"file": "t.csv", "links": "l.csv"}],
        sessions={"gap_minutes": 60 * 24 * 30, "min_count": 1},
        attributes=[
            {"side": "user", "column": "age", "bins": 3},
            {"side": "user", "column": "height", "use": "feature"},
            {"column": "text", "use": "feature"},
        ],
    )
    draw = np.random.default_rng(1)
    people = pl.DataFrame(
        {"age": draw.integers(10, 80, log.num_users), "height": draw.normal(size=log.num_users)}
    )
    texts = pl.DataFrame({"text": draw.normal(size=(log.num_items, 4)).tolist()})
    graph = build_graph(log, config, texts, people, relations=relations)
    network = Network(
        graph.num_nodes, list(graph.relations), graph.target, model, 1, graph.features
    )
    return log, graph, config, network


def move(network: Network) -> None:
    """Every parameter away from its start: gates open, γ and κ at work."""
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=draws))


@pytest.fixture(scope="module", params=["degree_prior", "gat"])
def trained(request):
    log, graph, config, network = make_world(
        ModelConfig(family=request.param, width=8, layers=2, heads=2)
    )
    move(network)
    with torch.no_grad():
        states = list(network.layer_states(full_block(graph)))
        vectors = network(full_block(graph))
        encoder = encoder_state(network, graph, states, log, config)
    found = Embeddings(
        vectors["user"].numpy(),
        vectors["item"].numpy(),
        states[0]["user"].detach().numpy(),
        encoder,
    )
    return log, graph, found


@pytest.fixture
def lookup(trained, tmp_path) -> Lookup:
    log, graph, found = trained
    contents = World(found, log, "buy", neighbours_into_users(graph.relations), labels=graph.labels)
    return Lookup(Bundle.load(write_world(tmp_path, contents)))


def into_users(graph: Graph) -> set[str]:
    return {name for _, name, end in graph.relations if end == "user"}


def test_every_relation_into_users_is_in_the_encoder(trained):
    _, graph, found = trained
    assert {relation.name for relation in found.encoder.relations} == into_users(graph)
    assert {"trust", "rev_trust", "friends", "rev_wishes", "rev_clubs", "rev_age"} < into_users(
        graph
    )
    events = {
        relation.name: relation.behavior
        for relation in found.encoder.relations
        if relation.behavior
    }
    assert events == {"rev_buy": "buy", "rev_view": "view"}


def test_fold_in_of_every_user_gives_the_trained_vector(trained):
    _, graph, found = trained
    vectors = UserEncoder(found.encoder).encode(
        neighbours_into_users(graph.relations), found.user_self
    )
    assert np.abs(vectors - found.users).max() < 1e-5


def test_parts_and_rest_are_the_score(trained):
    _, graph, found = trained
    encoder, everybody = UserEncoder(found.encoder), neighbours_into_users(graph.relations)
    heard = set()
    for user in range(USERS):
        neighbours = {name: matrix[user] for name, matrix in everybody.items()}
        why = explain(
            encoder, neighbours, found.items[user % ITEMS], found.user_self[user : user + 1]
        )
        assert why.score == pytest.approx(
            float(found.users[user] @ found.items[user % ITEMS]), abs=1e-5
        )
        assert sum(part.value for part in why.parts) + why.rest == pytest.approx(
            why.score, abs=1e-5
        )
        heard |= {part.relation for part in why.parts}
    assert heard == into_users(graph)


def test_a_known_user_without_new_events_keeps_the_vector(trained, lookup):
    log, _, found = trained
    for user in range(0, USERS, 5):
        [answer] = lookup.recommend([log.users.ids[user]], 3, exclude_seen=False)
        best = np.argsort(-(found.items @ found.users[user]), kind="stable")[:3]
        assert [item["id"] for item in answer["items"]] == log.items.external(best)


def test_friends_stay_when_new_events_come(trained, lookup):
    """A known user with one new event: the row of every side relation is that of the graph."""
    log, graph, found = trained
    everybody = neighbours_into_users(graph.relations)
    user = 3
    new = int(np.flatnonzero(everybody["rev_view"][user].toarray().ravel() == 0)[0])
    item = log.items.ids[new]
    [answer] = lookup.recommend(
        [log.users.ids[user]], ITEMS, histories=[[Event(item, "view")]], exclude_seen=False
    )
    neighbours = {name: matrix[user] for name, matrix in everybody.items()}
    row = neighbours["rev_view"].tolil()
    row[0, new] = 1.0
    neighbours["rev_view"] = row.tocsr()
    vector = UserEncoder(found.encoder).encode(neighbours, found.user_self[user : user + 1])[0]
    scores = {one["id"]: one["score"] for one in answer["items"]}
    expected = dict(zip(log.items.ids, (found.items @ vector).tolist(), strict=True))
    assert scores == pytest.approx(expected, abs=1e-5)


def test_reasons_name_friends_and_clubs(trained, lookup):
    log, graph, _ = trained
    reasons = [
        part
        for user in log.users.ids
        for part in lookup.explain(user, log.items.ids[0], parts=1000)["parts"]
    ]
    named: dict[str, set[str]] = {}
    for part in reasons:
        named.setdefault(part["type"], set()).add(part["id"])
    assert set(named) == {"item", "user", "user:club", "user:age"}
    assert named["user"] <= set(log.users.ids) and named["item"] <= set(log.items.ids)
    assert named["user:club"] <= set(graph.labels["user:club"])
    assert named["user:age"] == set(graph.labels["user:age"])


def test_a_visitor_gives_a_number_and_a_club(trained, lookup):
    log, graph, _ = trained
    bins = graph.labels["user:age"]
    low = float(bins[1].split(" to ")[0])
    by_number = lookup.fold_in([log.items.ids[0]], {"age": low + 1, "club": "club 2"})
    by_bin = lookup.fold_in([log.items.ids[0]], {"age": bins[1], "club": "club 2"})
    other = lookup.fold_in([log.items.ids[0]], {"age": -5, "club": "club 2"})
    assert np.array_equal(by_number, by_bin)
    assert not np.array_equal(by_number, other)
