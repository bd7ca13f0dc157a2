"""A log with an order and no clock: half-lives in events count as with times, days count nowhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.bundle.bundle import Bundle
from recsys.bundle.part import Parts
from recsys.bundle.parts.history_rows import HistoryRows
from recsys.closed_form.popularity import fit_recent_popularity
from recsys.core.config import build_config
from recsys.core.errors import ConfigError, DataError, RecsysError, UsageError
from recsys.core.history import user_histories
from recsys.core.interactions import BEHIND_ORDER, Interactions
from recsys.core.later_events import HistoryEvent, extended
from recsys.core.tables import TIME, USER_ID
from recsys.evaluate.cold_start import later_events
from recsys.graph.build import build_graph
from recsys.graph.schema import Graph
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.lookup.lookup import Event, Lookup
from recsys.phases.phase import Phase
from recsys.scores.most_popular import choose_popularity, item_popularity
from recsys.scores.recency import half_lives_days
from recsys.train.batches import pair_moments
from recsys.tune.space import recipe
from serving.state import Expected, Served
from worlds import make_contents, make_interactions, write_world

NO_CLOCK = "order and no clock"
LATE = 1_700_000_000


def ordered(log: Interactions) -> Interactions:
    """The same log with places in the user's history instead of times."""
    assert log.time is not None
    by_time = np.lexsort((log.behavior, log.item, log.time, log.user))
    user = log.user[by_time]
    place = np.empty(len(log), np.int64)
    place[by_time] = np.arange(len(log)) - np.searchsorted(user, user)
    return replace(log, time=place, time_kind="order")


TIMED = make_interactions()
ORDERED = ordered(TIMED)


def test_there_is_an_order_and_no_clock() -> None:
    assert (ORDERED.moments, ORDERED.days, ORDERED.last_moment) == (None, 0.0, 0)
    assert TIMED.moments is TIMED.time and TIMED.days > 0
    assert user_histories(ORDERED).moments is None
    assert NO_CLOCK in ORDERED.no_moments
    assert replace(TIMED, time=None).no_moments == "the log has none"


def test_histories_are_those_of_the_times() -> None:
    by_order, by_time = user_histories(ORDERED), user_histories(TIMED)
    assert by_order.item.tolist() == by_time.item.tolist()
    weights = {"buy": 1.0, "view": 0.25}
    same_decay = by_order.item_weights(weights, 3.0) != by_time.item_weights(weights, 3.0)
    assert same_decay.nnz == 0
    assert (later_events(ORDERED, "buy", 0) != later_events(TIMED, "buy", 0)).nnz == 0


# Days


def graph_of(log: Interactions, **sections: object) -> Graph:
    config = build_config({"graph": {"target": "buy", **sections}}).graph
    if config.half_life_days == "auto":
        config = config.model_copy(update={"half_life_days": "none"})
    return build_graph(log, config)


def refused(call: Callable[[], object], error: type[RecsysError]) -> str:
    """The remedy of an error about the missing clock."""
    with pytest.raises(error, match=NO_CLOCK) as caught:
        call()
    return caught.value.remedy


def test_edges_have_no_moments_and_do_not_decay() -> None:
    edges = graph_of(ORDERED).relations[("user", "buy", "item")]
    assert edges.time is None and set(edges.weight.tolist()) == {1.0}


@pytest.mark.parametrize(
    "sections",
    [{"half_life_days": 30.0}, {"behavior_half_life_days": {"view": 3.0}}, {"sessions": {}}],
)
def test_a_graph_that_counts_days_is_refused(sections: dict[str, object]) -> None:
    remedy = refused(lambda: graph_of(ORDERED, **sections), ConfigError)
    assert "data.time_col" in remedy and "leave" in remedy
    if "sessions" not in sections:
        assert f"graph.{next(iter(sections))} out" in remedy
    # The remedies: without the key, and with times.
    assert graph_of(ORDERED).relations and graph_of(TIMED, **sections).relations


def test_training_in_time_and_recent_popularity_are_refused() -> None:
    remedy = refused(lambda: pair_moments(ORDERED, "buy"), ConfigError)
    assert "leave train.time_respecting out" in remedy
    refused(lambda: fit_recent_popularity(ORDERED, "buy", 0.1), DataError)
    with pytest.raises(UsageError, match="needs a log with times") as caught:
        item_popularity(user_histories(ORDERED), "buy", 10.0)
    assert caught.value.remedy == "Leave the half-life out"
    assert item_popularity(user_histories(ORDERED), "buy").shares.any()


@pytest.fixture(scope="module")
def phase(tmp_path_factory: pytest.TempPathFactory) -> Phase:
    """Each user's last row held out, from a log whose rows are numbered user by user."""
    log = communities(num_users=60, num_items=30, events_per_user=12, seed=2).log
    place = pl.int_range(pl.len(), dtype=pl.Int64).over(USER_ID)
    log = log.sort(USER_ID, TIME).with_columns(place.alias(TIME))
    config = build_config({"model": {"width": 8, "heads": 2}, "train": {"metric_k": 5}})
    folder = tmp_path_factory.mktemp("ordered") / "log"
    ingest(log, config.data, config.clean, folder)
    coded = load_log(folder)
    return Phase("select", coded, split_log(coded, config.split, "interaction", 0), config)


def test_nothing_of_a_phase_counts_days(phase: Phase) -> None:
    assert phase.interactions.time_kind == "order" and phase.until is None
    assert phase.required_splits.method == "leave_last" and phase.held_out_later
    assert phase.graph_config.half_life_days == "none"
    assert half_lives_days(phase) == []
    choice = choose_popularity(phase)
    assert choice.half_life_days is None and list(choice.tried) == [None]
    assert "graph.half_life_days" not in recipe(phase)


# Later events and serving


def test_later_events_come_behind_whatever_time_they_name() -> None:
    before = user_histories(ORDERED).of_user(3)
    others = [item for item in range(5) if item not in before.item]
    times = [None, LATE, 2]
    events = [
        HistoryEvent(item, "buy", time=time) for item, time in zip(others, times, strict=False)
    ]
    longer = extended(before, events, "first")
    first, second, third = (event.item for event in events)
    assert longer.item.tolist() == [*before.item.tolist(), third, second, first]


STEPS = st.tuples(st.integers(0, 5), st.integers(0, 1))


@settings(max_examples=100)
@given(
    st.lists(STEPS, max_size=8),
    st.lists(STEPS, max_size=6),
    st.sampled_from(["first", "last", "sum"]),
)
def test_what_is_served_is_what_a_log_with_the_events_gives(early, late, duplicates) -> None:
    """Live events in the log stand at BEHIND_ORDER + seconds (`logs.live_events`)."""
    known = extended(no_rows(), steps(early, 0), duplicates)
    known = replace(known, time_kind="order")
    served = extended(known, steps(late, LATE), duplicates)
    retrained = extended(no_rows(), steps(early, 0) + steps(late, BEHIND_ORDER + LATE), duplicates)
    for name in ("item", "behavior", "weight", "time"):
        assert getattr(served, name).tolist() == getattr(retrained, name).tolist()


def no_rows():
    everybody = user_histories(TIMED)
    return replace(
        everybody.of_user(0),
        indptr=np.zeros(2, np.int64),
        item=everybody.item[:0],
        behavior=everybody.behavior[:0],
        weight=everybody.weight[:0],
        time=everybody.time[:0],
    )


def steps(rows, start: int) -> list[HistoryEvent]:
    return [
        HistoryEvent(item, ("view", "buy")[behavior], time=start + place)
        for place, (item, behavior) in enumerate(rows)
    ]


def served_of(log: Interactions, folder: Path) -> Served:
    """A bundle of a log, written and read."""
    contents = make_contents()
    encoder = replace(contents.embeddings.encoder, now=log.last_moment)
    embeddings = replace(contents.embeddings, encoder=encoder)
    path = write_world(folder, replace(contents, interactions=log, embeddings=embeddings))
    return Served(Lookup(Bundle.load(path)), Expected(0.0, 0.0), 0.0)


def test_a_bundle_knows_that_its_log_has_an_order(tmp_path: Path) -> None:
    served = served_of(ORDERED, tmp_path)
    histories = served.bundle.parts[HistoryRows].histories
    assert histories.time_kind == "order"
    assert histories.time.tolist() == user_histories(ORDERED).time.tolist()


def test_bundles_of_before_have_seconds(tmp_path: Path) -> None:
    part = HistoryRows.of(TIMED, "first")
    facts = {"behaviors": TIMED.behaviors, "num_items": TIMED.num_items, **part.save(tmp_path)}
    assert facts.pop("time_kind") == "seconds"
    loaded = HistoryRows.load(tmp_path, facts, Parts())
    assert loaded is not None and loaded.histories.time_kind == "seconds"


def test_every_live_event_is_news_until_the_log_holds_it(tmp_path: Path) -> None:
    item = f"i{ORDERED.item[ORDERED.user == 4][0]:02}"
    event = Event(item, "buy", float(LATE))
    assert served_of(ORDERED, tmp_path).news("u04", [event]) == (event,)
    row = np.flatnonzero((ORDERED.user == 4) & (ORDERED.behavior == 1))[0]
    time = ORDERED.time.copy()
    time[row] = BEHIND_ORDER + LATE
    with_event = replace(ORDERED, time=time)
    assert with_event.last_moment == LATE
    known = Event(f"i{ORDERED.item[row]:02}", "buy", float(LATE))
    served = served_of(with_event, tmp_path)
    assert served.news("u04", [known]) == ()
    later = known._replace(time=LATE + 1.0)
    assert served.news("u04", [known, later]) == (later,)


@pytest.mark.parametrize("moment", [None, 1.0, float(LATE)])
def test_an_event_joins_at_the_end_of_a_known_history(moment: float | None, tmp_path: Path) -> None:
    lookup = served_of(ORDERED, tmp_path).lookup
    new = next(item for item in range(40) if item not in ORDERED.item[ORDERED.user == 4])
    plain = lookup.recommend(["u04"], 10, histories=[[f"i{new:02}"]])
    timed = lookup.recommend(["u04"], 10, histories=[[Event(f"i{new:02}", "buy", moment)]])
    assert timed == plain
