"""How somebody is answered, by how much is known of them.

The ladder, its first step that applies naming the source of the answer:

1. model: a known user without news, by the trained vector;
2. fold_in: a known user with news, or a visitor with a history, encoded just now;
3. attributes: a visitor of whom the model knows attributes;
4. social: a visitor with friends among the known users;
5. segment: what is popular with users of the same value of a column;
6. fallback: what is popular with everybody.

What is known beyond the step goes into the same vector. A user who is not known stands where a
visitor with the same history, attributes and friends would.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float32Array, IntArray
from recsys.core.artefacts import no_pause
from recsys.core.distinct import distinct
from recsys.core.errors import UsageError, nearest
from recsys.core.history import UserHistories
from recsys.core.ids import UNKNOWN, IdMap, id_text
from recsys.encode.fold_in import UserEncoder
from recsys.lookup.encoding import groups, own_states, stacked_neighbours
from recsys.lookup.histories import Visit, read_history, read_visits
from recsys.lookup.matrices import Rows, SparseRow
from recsys.lookup.past import Past, past_of
from recsys.lookup.query import Query
from recsys.lookup.visits import (
    Attributes,
    known_neighbours,
    read_attributes,
    read_friends,
    value_row,
    with_friends,
)

Source = Literal["model", "fold_in", "attributes", "social", "segment", "fallback", "refused"]
"""The step of the ladder; refused: somebody unknown among several, who gets no list."""

Fallback = Literal["refuse", "popularity"]
"""What somebody of whom nothing is known gets."""

_NO_ITEMS = np.empty(0, np.int32)
_IDS_SEARCHED = 100_000
_NOTHING_KNOWN = "the history has no event that the model uses"


@dataclass(frozen=True)
class Request:
    """One list to make.

    source: step of the ladder.
    vector: (d,) of the user; None where popularity answers.
    excluded: internal item ids that are not recommended, ascending.
    unknown: ids of the query that the bundle does not know.
    user: internal id of a known user, else UNKNOWN.
    neighbours: what the vector was encoded from; None where it was not encoded.
    past: history that additions to the scores are asked with; None where nothing is added.
    segment: places of values whose users' popularity answers; empty for everybody.
    refusal: why there is no list.
    target_items: internal ids of the history's items under the target behaviour.
    history: with the events of the query; None where they change nothing.
    moment: unix seconds at which the list is asked for; None for the end of the log.
    """

    source: Source
    vector: Float32Array | None
    excluded: IntArray
    unknown: list[str]
    user: int = UNKNOWN
    neighbours: Rows | None = None
    past: Past | None = None
    segment: tuple[int, ...] = ()
    refusal: UsageError | None = None
    target_items: IntArray = field(default_factory=lambda: _NO_ITEMS)
    history: UserHistories | None = None
    moment: float | None = None


def read_requests(
    bundle: Bundle,
    encoder: UserEncoder,
    queries: Sequence[Query],
    behaviors: tuple[str, ...],
    fallback: Fallback,
    between: Callable[[], None] = no_pause,
    moment: float | None = None,
) -> list[Request]:
    """One request for each query.

    Args:
        bundle: What is known.
        encoder: Of the bundle.
        queries: Who is asked about.
        behaviors: Whose seen items are excluded.
        fallback: "popularity" sends everybody down the ladder; "refuse" refuses unknown users, and
            visitors of whom nothing is known.
        between: Called before every query; what it raises ends the work.
        moment: Unix seconds at which the lists are asked for; None for the end of the log.

    Returns:
        Requests in the order of the queries. One that is refused among others that are not has the
        source "refused" and its refusal: so has one with an attribute, behaviour or weight that
        cannot be.

    Raises:
        UsageError: All queries are refused.
    """
    readings = []
    for query in queries:
        between()
        readings.append(_read_or_refuse(bundle, query, between))
    requests: list[Request] = []
    for group in groups([reading.num_events for reading in readings]):
        between()
        group_readings = [readings[position] for position in group]
        requests += _requests(bundle, encoder, group_readings, behaviors)
    if moment is not None:
        requests = [replace(request, moment=moment) for request in requests]
    if fallback == "refuse":
        for position, query in enumerate(queries):
            requests[position] = _refused(bundle, query, requests[position])
    for position, query in enumerate(queries):
        if query.popular and requests[position].refusal is None:
            requests[position] = _popular(requests[position])
    refusals = [request.refusal for request in requests if request.refusal is not None]
    if refusals and len(refusals) == len(queries):
        raise refusals[0]
    return requests


def _popular(request: Request) -> Request:
    """The same answered by what is popular with everybody."""
    return Request("fallback", None, request.excluded, request.unknown, request.user)


@dataclass(frozen=True)
class _Reading:
    """A query in internal ids.

    user: UNKNOWN for a visitor, or a user who is not known.
    history: with the events behind what is known; None where they change nothing.
    attributes, friends: rows of neighbours.
    segment, unknown, refusal: as in `Request`.
    """

    user: int = UNKNOWN
    history: UserHistories | None = None
    attributes: Rows = field(default_factory=dict)
    friends: Rows = field(default_factory=dict)
    segment: tuple[int, ...] = ()
    unknown: list[str] = field(default_factory=list)
    refusal: UsageError | None = None

    @property
    def num_events(self) -> int:
        """Of the history that is to be encoded."""
        return 0 if self.history is None else len(self.history)


def _read_or_refuse(bundle: Bundle, query: Query, between: Callable[[], None]) -> _Reading:
    try:
        return _read(bundle, query, between)
    except UsageError as refusal:
        return _Reading(refusal=refusal)


def _read(bundle: Bundle, query: Query, between: Callable[[], None]) -> _Reading:
    """Raises UsageError for what cannot be in a query; what `between` raises."""
    user = UNKNOWN if query.user is None else int(bundle.users.lookup([query.user])[0])
    history, unknown = read_history(bundle, query.history, user, between)
    segment, model_attributes = _segment(bundle, query.attributes)
    attributes = read_attributes(bundle, model_attributes)
    friends, unknown_friends = read_friends(bundle, query.friends)
    unknown = [*unknown, *unknown_friends]
    if query.user is not None and user == UNKNOWN:
        unknown = [id_text(query.user) or str(query.user), *unknown]
    return _Reading(user, history, attributes, friends, segment, unknown)


def _requests(
    bundle: Bundle,
    encoder: UserEncoder,
    readings: Sequence[_Reading],
    behaviors: tuple[str, ...],
) -> list[Request]:
    """Where each stands on the ladder; those who have to be encoded are encoded together."""
    visits = read_visits(bundle, [reading.history for reading in readings], behaviors)
    requests = []
    for reading, visit in zip(readings, visits, strict=True):
        if reading.refusal is not None:
            request = Request("refused", None, _NO_ITEMS, [], refusal=reading.refusal)
        elif reading.user != UNKNOWN:
            request = _known_user(bundle, reading, visit, behaviors)
        else:
            request = _visitor(bundle, encoder, reading, visit)
        requests.append(request)
    positions = []
    for position, request in enumerate(requests):
        if request.neighbours is not None:
            positions.append(position)
    if positions:
        encoded = [requests[position] for position in positions]
        neighbours = stacked_neighbours([request.neighbours or {} for request in encoded])
        own = own_states(bundle, [request.user for request in encoded])
        vectors = encoder.encode(neighbours, own)
        for position, vector in zip(positions, vectors, strict=True):
            requests[position] = replace(requests[position], vector=vector)
    return requests


def seen_behaviors(bundle: Bundle, exclude_seen: bool | Sequence[str]) -> tuple[str, ...]:
    """Behaviours whose items are excluded. Raises UsageError for one that the log does not have."""
    if isinstance(exclude_seen, bool):
        return bundle.seen_behaviors if exclude_seen else ()
    for name in exclude_seen:
        if name not in bundle.seen:
            hint = nearest(name, bundle.seen) or f"The log has {list(bundle.seen)}"
            raise UsageError(
                f"exclude_seen names the unknown behaviour {name!r}", hint, code="unknown_behavior"
            )
    return tuple(exclude_seen)


def unknown_id(message: str, ids: IdMap, external_id: str, code: str) -> UsageError:
    """The error of an unknown id, with the nearest known ones."""
    close = nearest(external_id, ids.ids.head(_IDS_SEARCHED).to_list())
    return UsageError(message, close or f"The log has {len(ids):,} {ids.kind}s", code=code)


def _known_user(
    bundle: Bundle, reading: _Reading, visit: Visit | None, behaviors: tuple[str, ...]
) -> Request:
    """By the trained vector; to be encoded from the neighbours in the graph and what is new, where
    anything is.

    Args:
        bundle: What is known.
        reading: Of the query. Attributes take the place of the old ones, friends are added.
        visit: The history with new events, if any.
        behaviors: Whose items, old and new, are excluded.
    """
    user = reading.user
    if visit is None:
        visit = _as_learnt(bundle, user, behaviors)
    request = Request(
        "model",
        bundle.user_vectors[user],
        visit.excluded,
        reading.unknown,
        user,
        past=visit.past,
        target_items=visit.target_items,
        history=reading.history,
    )
    if not (visit.neighbours or reading.attributes or reading.friends):
        return request
    with_events = {**known_neighbours(bundle, user), **visit.neighbours}
    neighbours = {**with_friends(with_events, reading.friends), **reading.attributes}
    return replace(request, source="fold_in", neighbours=neighbours)


def _as_learnt(bundle: Bundle, user: int, behaviors: tuple[str, ...]) -> Visit:
    """Of a known user without news; neighbours need not be read."""
    past = None if bundle.past is None else past_of(bundle.past, user)
    excluded = _items_under(bundle, user, behaviors)
    return Visit({}, past, excluded, _items_under(bundle, user, (bundle.target,)))


def _visitor(
    bundle: Bundle, encoder: UserEncoder, reading: _Reading, visit: Visit | None
) -> Request:
    """To be encoded, where anything is known that the model hears."""
    if visit is None:
        visit = Visit({}, _no_past(bundle), _NO_ITEMS, _NO_ITEMS)
    source: Source
    if visit.neighbours:
        source = "fold_in"
    elif reading.attributes and encoder.state.is_heard:
        source = "attributes"
    elif reading.friends and encoder.state.is_heard:
        source = "social"
    else:
        source = "segment" if reading.segment else "fallback"
        segment = reading.segment
        return Request(source, None, visit.excluded, reading.unknown, segment=segment)
    return Request(
        source,
        None,
        visit.excluded,
        reading.unknown,
        neighbours={**visit.neighbours, **reading.attributes, **reading.friends},
        past=visit.past,
        target_items=visit.target_items,
        history=reading.history,
    )


def _items_under(bundle: Bundle, user: int, behaviors: tuple[str, ...]) -> IntArray:
    """Internal ids of a known user's items under some behaviours, ascending."""
    lists: list[IntArray] = []
    for name in behaviors:
        seen = bundle.seen[name]
        lists.append(seen.indices[seen.indptr[user] : seen.indptr[user + 1]])
    if not lists:
        return _NO_ITEMS
    if len(lists) == 1:
        return lists[0]
    return distinct(*lists)


def _segment(bundle: Bundle, attributes: Attributes) -> tuple[tuple[int, ...], Attributes]:
    """Places of the values that name segments of users, and the attributes that the model itself
    must know.
    """
    segments = bundle.user_segments
    if segments is None or segments.column not in attributes:
        return (), attributes
    row = value_row(segments.column, segments.values, attributes[segments.column])
    places = tuple(row.indices.tolist())
    if segments.column in bundle.user_attributes:
        return places, attributes
    rest: Mapping[str, object] = {
        column: values for column, values in attributes.items() if column != segments.column
    }
    return places, rest


def _no_past(bundle: Bundle) -> Past | None:
    """Of somebody who did nothing; None where nothing is added to the vectors."""
    if bundle.past is None:
        return None
    nothing = SparseRow(_NO_ITEMS, np.empty(0, np.float32), len(bundle.items))
    return Past(nothing, dict.fromkeys(bundle.past.auxiliary, nothing))


def _refused(bundle: Bundle, query: Query, request: Request) -> Request:
    """The request, refused where popularity would be its only answer."""
    refusal = request.refusal or _refusal(bundle, query, request)
    if refusal is None:
        return request
    return replace(request, source="refused", vector=None, refusal=refusal)


def _refusal(bundle: Bundle, query: Query, request: Request) -> UsageError | None:
    """Why a request is refused where popularity is no answer; None where it is not."""
    if query.user is not None and request.user == UNKNOWN:
        user = request.unknown[0]
        return unknown_id(f"unknown user {user!r}", bundle.users, user, "unknown_user")
    if request.source != "fallback":
        return None
    if not request.unknown:
        return unknown_id(_NOTHING_KNOWN, bundle.items, "", "nothing_known")
    what = f"none of the items {request.unknown[:5]} is known"
    return unknown_id(what, bundle.items, request.unknown[0], "nothing_known")
