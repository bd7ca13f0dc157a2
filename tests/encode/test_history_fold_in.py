"""Users of the family history: serving makes of a history the vector that training made of it, over
Lookup and over HTTP, and of any history something sound.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
import torch

from histories import START, phase_of
from pipelines.stages.embeddings import load_scaled, save_scaled
from recsys.bundle.bundle import Bundle
from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.config import AttributeConfig, GraphConfig, ModelConfig, RelationConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.encoder import Embeddings, EncoderState, RelationState
from recsys.core.history import no_history, user_histories
from recsys.core.interactions import Interactions
from recsys.core.later_events import HistoryEvent, extended
from recsys.core.tables import TIME, USER_ID
from recsys.encode.fold_in import UserEncoder, history_neighbours
from recsys.graph.build import build_graph
from recsys.logs.synthetic import COUNTRY, communities
from recsys.lookup.lookup import Event, Lookup
from recsys.scores.trained_vectors import AS_TRAINED, TrainedVectors, decayed_edges
from recsys.train.embed import embed_histories
from recsys.train.problem import Problem, new_network
from servers import ask, running
from serving.settings import Settings
from worlds import World, write_world

KINDS = ["seconds", "order", "none"]
BEHAVIORS = ("view", "buy")
FEW = 4
"""Events that the model reads: fewer than most users have."""


class Served(NamedTuple):
    """A model, its log, and the bundle that serves it."""

    log: Interactions
    embeddings: Embeddings
    lookup: Lookup
    path: Path

    def events_of(self, user: int) -> list[Event]:
        """All that a user did, as events of a visitor."""
        rows = np.flatnonzero(self.log.user == user)
        if self.log.time is not None:
            rows = rows[np.argsort(self.log.time[rows], kind="stable")]
        events = []
        for row in rows.tolist():
            behavior = self.log.behaviors[self.log.behavior[row]]
            time = None if self.log.time is None else int(self.log.time[row])
            item = self.log.items.ids[int(self.log.item[row])]
            events.append(Event(item, behavior, time))
        return events

    def country_of(self, user: int) -> str:
        number = int(self.log.users.ids[user][1:])
        return f"country {number % 4}"

    def friends_of(self, user: int) -> list[str]:
        row = self.lookup.bundle.neighbours["friends"][user]
        return self.log.users.external(row.indices)


def make_served(folder: Path, kind: str, user_table: bool = False) -> Served:
    """Views and buys, countries and friends; every parameter of the network away from its start."""
    world = communities(24, 18, events_per_user=9, behaviors=BEHAVIORS, seed=3)
    rows = world.log
    has_block = kind == "causal block"
    kind = "seconds" if has_block else kind
    if kind == "order":
        rows = rows.with_columns(pl.col(TIME).rank("ordinal").over(USER_ID).cast(pl.Int64))
    log = phase_of(rows, kind, BEHAVIORS)
    users = pl.DataFrame({USER_ID: log.users.ids}).join(
        world.users, on=USER_ID, how="left", maintain_order="left"
    )
    draw = np.random.default_rng(2)
    ends = {"source": draw.integers(0, 24, 40), "destination": draw.integers(0, 24, 40)}
    pairs = pl.DataFrame(ends).cast(pl.Int32).unique(maintain_order=True)
    pairs = pairs.filter(pl.col("source") != pl.col("destination"))
    friends = EdgeRows("friends", ("user", "user"), pairs, directed=False)
    config = GraphConfig(
        target="buy",
        half_life_days=30 if kind == "seconds" else "none",
        attributes=[AttributeConfig(side="user", column=COUNTRY)],
        behavior_weights={"view": 0.5},
        relations=[RelationConfig(name="friends", file="f.csv", between=["user", "user"])],
    )
    graph = build_graph(log, config, None, users, relations=[friends])
    model = ModelConfig(
        family="history",
        width=8,
        heads=2,
        history=FEW,
        user_table=user_table,
        causal_block=has_block,
    )
    network = new_network(Problem(log, graph, model, 1))
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=draws))
    embeddings = embed_histories(network, graph, log, config)
    neighbours = decayed_edges(
        neighbours_into_users(graph.relations), user_histories(log), embeddings.encoder
    )
    world = World(embeddings, log, "buy", neighbours, labels=graph.labels)
    path = write_world(folder, world)
    return Served(log, embeddings, Lookup(Bundle.load(path)), path)


@pytest.fixture(scope="module", params=[*KINDS, "causal block"])
def served(request, tmp_path_factory) -> Served:
    return make_served(tmp_path_factory.mktemp("served"), request.param)


def test_every_visitor_who_says_it_all_is_the_trained_user(served):
    for user in range(served.log.num_users):
        vector = served.lookup.fold_in(
            served.events_of(user), {COUNTRY: served.country_of(user)}, served.friends_of(user)
        )
        assert np.abs(vector - served.embeddings.users[user]).max() < 1e-5


def test_vectors_that_weigh_nothing_give_visitors_nothing(served, tmp_path):
    encoder = served.lookup.bundle.encoder
    graph = build_graph(served.log, GraphConfig(target="buy"))
    trained = TrainedVectors(served.log, served.embeddings, graph)
    silent = trained.embeddings_of(AS_TRAINED._replace(weight=0))
    neighbours = served.lookup.bundle.neighbours
    assert UserEncoder(encoder).encode(neighbours).any()
    save_scaled(silent, served.embeddings, tmp_path)
    loaded = load_scaled(served.embeddings, tmp_path)
    for embeddings in (silent, loaded):
        assert not UserEncoder(embeddings.encoder).encode(neighbours).any()
        assert not embeddings.users.any()


def test_a_user_table_is_read_by_those_who_are_known(tmp_path):
    served = make_served(tmp_path, "seconds", user_table=True)
    bundle = served.lookup.bundle
    encoder = UserEncoder(bundle.encoder)
    vectors = encoder.encode(bundle.neighbours, np.asarray(bundle.user_self))
    assert np.abs(vectors - served.embeddings.users).max() < 1e-5
    assert not np.allclose(bundle.user_self[0], bundle.user_self[1])
    visitors = encoder.encode(bundle.neighbours)
    assert np.abs(visitors - served.embeddings.users).max() > 0.1


def test_over_http_a_visitor_is_answered_as_the_member(served):
    with running(Settings(served.path)) as address:
        for user in (0, 5):
            name = served.log.users.ids[user]
            history = []
            for event in served.events_of(user):
                row = {"item": event.item, "behavior": event.behavior}
                if event.time is not None:
                    row["time"] = event.time
                history.append(row)
            visitor = {
                "history": history,
                "attributes": {COUNTRY: [served.country_of(user)]},
                "friends": served.friends_of(user),
            }
            body = {"requests": [{"user": name}, visitor], "k": 5}
            status, answer = ask(f"{address}/v1/recommend", body)
            member, folded = answer["answers"]
            assert status == 200
            assert (member["source"], folded["source"]) == ("model", "fold_in")
            assert [item["id"] for item in member["items"]] == [
                item["id"] for item in folded["items"]
            ]
            for left, right in zip(member["items"], folded["items"], strict=True):
                assert left["score"] == pytest.approx(right["score"], abs=1e-5)


def test_parts_and_rest_are_the_score(served):
    for user in (0, 7, 20):
        name = served.log.users.ids[user]
        [answer] = served.lookup.recommend([name], 3)
        for item in answer["items"]:
            why = served.lookup.explain(name, item["id"])
            told = sum(part["share"] for part in why["parts"]) + why["rest"]
            assert told == pytest.approx(why["score"], abs=1e-5)
            assert why["score"] == pytest.approx(item["score"], abs=1e-5)
        visitor = served.lookup.explain(
            None, answer["items"][0]["id"], history=served.events_of(user)
        )
        told = sum(part["share"] for part in visitor["parts"]) + visitor["rest"]
        assert told == pytest.approx(visitor["score"], abs=1e-5)


def test_explanations_name_the_events_that_are_read(served):
    user = 3
    events = [event for event in served.events_of(user) if event.behavior == "buy"]
    item = served.log.items.ids[0]
    why = served.lookup.explain(None, item, history=events)
    bought = [part["id"] for part in why["parts"] if part["relation"] == "buy"]
    expected = {event.item for event in events}
    if served.log.time is not None:
        expected = {event.item for event in events[-FEW:]}
    assert set(bought) == expected


# --- any history
# ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def timed(tmp_path_factory) -> Served:
    return make_served(tmp_path_factory.mktemp("timed"), "seconds")


def is_sound(vector: np.ndarray) -> bool:
    return bool(np.isfinite(vector).all()) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_no_event_and_unknown_items_alone_are_nobody(timed):
    for history in ([], ["never seen", "nor this"]):
        [answer] = timed.lookup.recommend(histories=[history], k=3, fallback="popularity")
        assert (answer["source"], len(answer["items"])) == ("fallback", 3)
        assert answer["unknown"] == history


def test_unknown_items_change_nothing(timed):
    events = timed.events_of(2)
    with_unknown = [events[0], Event("never seen", "buy", START), *events[1:]]
    assert np.array_equal(timed.lookup.fold_in(with_unknown), timed.lookup.fold_in(events))


def test_one_event_is_the_state_of_its_item(timed):
    encoder = timed.embeddings.encoder
    [relation] = [one for one in encoder.relations if one.name == "rev_buy"]
    assert relation.base
    item = 3
    # Every layer receives what the one item sends in it.
    expected = encoder.layer_weights[0] * encoder.visitor
    expected = expected + encoder.layer_weights[1:] @ encoder.states["item"][:, item]
    vector = timed.lookup.fold_in([Event(timed.log.items.ids[item], "buy", START)])
    assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-5)


def test_times_that_run_backwards_are_put_in_order(timed):
    events = timed.events_of(4)
    assert np.array_equal(timed.lookup.fold_in(events[::-1]), timed.lookup.fold_in(events))


def test_all_at_one_moment_the_order_of_the_list_does_not_matter(timed):
    events = [event._replace(time=START) for event in timed.events_of(4)]
    vector = timed.lookup.fold_in(events)
    assert is_sound(vector)
    assert np.array_equal(timed.lookup.fold_in(events[::-1]), vector)


def test_what_is_older_than_the_model_reads_does_not_matter(timed):
    buys = [event for event in timed.events_of(6) if event.behavior == "buy"]
    items = [item for item in timed.log.items.ids if item not in {event.item for event in buys}]
    latest = [Event(item, "buy", START + number) for number, item in enumerate(items[:FEW])]
    older = [Event(item, "buy", START - 9) for item in items[FEW : FEW + 3]]
    assert np.array_equal(timed.lookup.fold_in(older + latest), timed.lookup.fold_in(latest))


def test_events_of_just_now_are_as_late_as_the_model(timed):
    """Events without a time stand behind the others at the moment of the model, and not an age of
    the universe later: gaps are what they would be at that moment.
    """
    now = timed.embeddings.encoder.now
    item_ids = timed.log.items.ids.to_list()
    earlier = [Event(item_ids[0], "buy", now - 5000), Event(item_ids[1], "buy", now - 400)]
    by_name = timed.lookup.fold_in([*earlier, Event(item_ids[2], "buy")])
    by_time = timed.lookup.fold_in([*earlier, Event(item_ids[2], "buy", now)])
    assert np.allclose(by_name, by_time, atol=1e-6)
    # Behind events later than the model, at the moment of the latest.
    earlier = [Event(item_ids[0], "buy", now + 9000), Event(item_ids[1], "buy", now + 70000)]
    by_name = timed.lookup.fold_in([*earlier, Event(item_ids[2], "buy")])
    by_time = timed.lookup.fold_in([*earlier, Event(item_ids[2], "buy", now + 70000)])
    assert np.allclose(by_name, by_time, atol=1e-6)


def test_a_member_with_news_is_the_longer_history(timed):
    user = 8
    name = timed.log.users.ids[user]
    known = set(timed.log.items.external(timed.log.item[timed.log.user == user]))
    fresh = next(item for item in timed.log.items.ids if item not in known)
    news = [Event(fresh, "buy", timed.embeddings.encoder.now + 60)]
    [answer] = timed.lookup.recommend([name], 3, histories=[news])
    [visitor] = timed.lookup.recommend(
        histories=[timed.events_of(user) + news],
        attributes=[{COUNTRY: timed.country_of(user)}],
        friends=[timed.friends_of(user)],
        k=3,
    )
    assert answer["source"] == visitor["source"] == "fold_in"
    for left, right in zip(answer["items"], visitor["items"], strict=True):
        assert left["id"] == right["id"]
        assert left["score"] == pytest.approx(right["score"], abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_very_long_history_is_encoded(kind):
    """100,000 events on as many items, all at once or one after the other."""
    count = 100_000
    encoder = long_encoder(kind, count)
    events = []
    for item in range(count):
        events.append(HistoryEvent(item, "buy", 1.0, None if kind == "none" else START + item))
    history = extended(no_history(("buy",), count, True), events, "first")
    neighbours = history_neighbours(encoder, history)
    assert neighbours["rev_buy"].nnz == (count if kind == "none" else 50)
    assert is_sound(UserEncoder(encoder).encode(neighbours)[0])


def long_encoder(kind: str, num_items: int) -> EncoderState:
    """Of one relation from many items, without a network."""
    draw = np.random.default_rng(0)
    zeros = np.zeros(1, np.float32)
    relation = RelationState(
        name="rev_buy",
        source="item",
        behavior="buy",
        weight=1.0,
        base=True,
        source_degree=np.ones(num_items, np.float32),
        source_exponent=np.full(1, 0.5, np.float32),
        target_exponent=zeros,
        gamma=np.zeros((1, 2), np.float32),
        gate=zeros,
        kappa=zeros,
        query=draw.normal(size=(1, 2, 4)).astype(np.float32),
    )
    if kind != "none":
        relation = replace(relation, rank_weights=np.linspace(2, 1, 50).astype(np.float32))
    if kind == "seconds":
        relation = replace(relation, gap_weights=np.linspace(2, 1, 32).astype(np.float32))
    return EncoderState(
        family="history",
        heads=2,
        similarity="cosine",
        layer_weights=np.ones(2, np.float32),
        visitor=draw.normal(size=8).astype(np.float32),
        states={"item": draw.normal(size=(1, num_items, 8)).astype(np.float32)},
        relations=(relation,),
        now=START,
    )
