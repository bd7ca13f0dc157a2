"""Histories as requests give them: those of known users, and events put behind them."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recsys.bundle.older_histories import rebuilt_history
from recsys.bundle.parts.history_rows import HistoryRows
from recsys.core.arrays import IntArray
from recsys.core.artefacts import no_pause
from recsys.core.errors import UsageError, nearest
from recsys.core.history import UserHistories, no_history, stacked
from recsys.core.ids import UNKNOWN, id_text
from recsys.core.later_events import Duplicates, HistoryEvent, extended
from recsys.encode.fold_in import history_neighbours
from recsys.lookup.matrices import Rows, row_of
from recsys.lookup.past import Past, past_of

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle


class Event(NamedTuple):
    """One event of a history.

    item: external id.
    behavior: the target behaviour when None.
    time: unix seconds; None means now. Where the log has an order and no clock, events come behind
        all that it knows, and times only say which of them came first.
    weight: as in the log.
    """

    item: str
    behavior: str | None = None
    time: float | None = None
    weight: float = 1.0


_EVENTS_AT_ONCE = 500  # read in about a millisecond
# numpy knows numbers that are neither int nor float; to ask for these alone takes ten times as long.
_NUMBERS = (int, float, Real)

History = Sequence[object]
"""Events, or ids of items, each standing for an event of just now."""


class Visit(NamedTuple):
    """What the events of a request make of somebody's history.

    neighbours: of each relation that the history feeds.
    past: what additions to the scores are asked with; None where nothing is added.
    excluded: internal ids of items under behaviours whose items are excluded, ascending.
    target_items: of those under the target behaviour, ascending.
    """

    neighbours: Rows
    past: Past | None
    excluded: IntArray
    target_items: IntArray


def read_history(
    bundle: "Bundle",
    history: History,
    user: int = UNKNOWN,
    between: Callable[[], None] = no_pause,
) -> tuple[UserHistories | None, list[str]]:
    """The events of a request, behind those of a known user where there is one; None where they
    change nothing. And the ids that are not in the catalogue.

    Args:
        bundle: What is known.
        history: Of the request.
        user: Internal id.
        between: Called before every run of events; what it raises ends the work.

    Returns:
        The history, and the unknown ids.

    Raises:
        UsageError: A behaviour that the log does not have, a weight that is not above 0 or a time that
            is no number.
    """
    require_list("history", history)
    events: list[HistoryEvent] = []
    unknown: list[str] = []
    for start in range(0, len(history), _EVENTS_AT_ONCE):
        between()
        known, further = _read_events(bundle, history[start : start + _EVENTS_AT_ONCE])
        events += known
        unknown += further
    if not events:
        return None, unknown
    before = no_history(bundle.segments[1:], len(bundle.items), has_times=True)
    if user != UNKNOWN:
        before = history_of(bundle, user)
    after = extended(before, events, duplicates_of(bundle))
    return None if after is before else after, unknown


def read_visits(
    bundle: "Bundle", histories: Sequence[UserHistories | None], behaviors: Sequence[str]
) -> list[Visit | None]:
    """What histories of single users make, those of the same kind together; None of None.

    behaviors: whose items are excluded.
    """
    by_kind: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for position, history in enumerate(histories):
        if history is not None:
            kind = (history.time is None, history.time_kind, history.behaviors)
            by_kind[kind].append(position)
    visits: list[Visit | None] = [None] * len(histories)
    for positions in by_kind.values():
        of_kind = [
            history for position in positions if (history := histories[position]) is not None
        ]
        visits_of_kind = _visits(bundle, stacked(of_kind), behaviors)
        for position, visit in zip(positions, visits_of_kind, strict=True):
            visits[position] = visit
    return visits


def _visits(
    bundle: "Bundle", histories: UserHistories, behaviors: Sequence[str]
) -> Iterator[Visit]:
    neighbours = history_neighbours(bundle.encoder, histories)
    past = None
    if bundle.added is not None and bundle.past is not None:
        past = bundle.added.weighted(histories, bundle.target)
    excluded = histories.items_under(behaviors)
    target_items = histories.items_under((bundle.target,))
    for user in range(histories.num_users):
        rows = {}
        for name, matrix in neighbours.items():
            row = row_of(matrix, user)
            if len(row.indices):
                rows[name] = row
        own_past = None if past is None else past_of(past, user)
        yield Visit(rows, own_past, excluded[user], target_items[user])


def history_of(bundle: "Bundle", user: int) -> UserHistories:
    """What a known user did, as far as the bundle has learnt from it."""
    rows = bundle.parts.get(HistoryRows)
    if rows is not None:
        return rows.histories.of_user(user)
    seen = {name: row_of(matrix, user).indices for name, matrix in bundle.seen.items()}
    edges = {name: matrix[user] for name, matrix in bundle.neighbours.items()}
    num_later = _num_later(bundle, user, seen[bundle.target])
    return rebuilt_history(seen, edges, bundle.encoder, num_later, len(bundle.items))


def duplicates_of(bundle: "Bundle") -> Duplicates:
    """What a repeated pair of user, item and behaviour becomes, as in the log."""
    rows = bundle.parts.get(HistoryRows)
    return "first" if rows is None else rows.duplicates


def _num_later(bundle: "Bundle", user: int, target_items: IntArray) -> dict[int, float]:
    """By item of an older bundle, how many of the user's pairs are later; nothing if unknown."""
    if bundle.added is None or bundle.histories is None:
        return {}
    half_life_events = bundle.added.half_life_events
    if half_life_events is None:
        return {}
    row = row_of(bundle.histories, user)
    largest = max(bundle.added.auxiliary_weights.values(), default=1.0)
    is_target = np.isin(row.indices, target_items)
    # h = weight · 2^(−p / half_life_events)
    weights = np.where(is_target, max(1.0, largest), largest)
    num_later = -half_life_events * np.log2(row.values / weights)
    return dict(zip(row.indices.tolist(), num_later.tolist(), strict=True))


def _read_events(bundle: "Bundle", history: History) -> tuple[list[HistoryEvent], list[str]]:
    """Events of known items, and the ids of the others."""
    of_request = [item if isinstance(item, Event) else _event_of(item) for item in history]
    for event in of_request:
        _check_event(bundle, event)
    internal_ids = bundle.items.lookup([event.item for event in of_request])
    events = []
    unknown = []
    for event, item in zip(of_request, internal_ids.tolist(), strict=True):
        if item == UNKNOWN:
            unknown.append(str(event.item))
            continue
        # Logs hold whole seconds.
        time = None if event.time is None else math.floor(event.time)
        events.append(HistoryEvent(item, event.behavior or bundle.target, event.weight, time))
    return events, unknown


def require_list(name: str, values: object) -> None:
    """Raises UsageError for a text, whose letters would be taken for ids."""
    if isinstance(values, str | bytes):
        raise UsageError(f"{name} = {values!r} is no list of ids", f"Write {name}=[{values!r}]")


def _is_finite(value: object) -> bool:
    return isinstance(value, _NUMBERS) and math.isfinite(value)


def _event_of(item: object) -> Event:
    return Event(id_text(item) or str(item))


def behavior_refusal(bundle: "Bundle", behavior: str | None) -> UsageError | None:
    """Why events of a behaviour are refused; None for one that the log has, or none that is named."""
    behaviors = bundle.segments[1:]
    if behavior is None or behavior in behaviors:
        return None
    hint = nearest(str(behavior), behaviors) or f"The log has {list(behaviors)}"
    return UsageError(f"unknown behaviour {behavior!r}", hint, code="unknown_behavior")


def _check_event(bundle: "Bundle", event: Event) -> None:
    refusal = behavior_refusal(bundle, event.behavior)
    if refusal is not None:
        raise refusal
    if not _is_finite(event.weight) or event.weight <= 0:
        raise UsageError(
            f"the event of {event.item!r} has weight {event.weight!r}",
            "Give a finite number above 0",
        )
    if event.time is not None and not _is_finite(event.time):
        raise UsageError(
            f"the event of {event.item!r} has time {event.time!r}",
            "Give unix seconds, or None for an event of just now",
        )
