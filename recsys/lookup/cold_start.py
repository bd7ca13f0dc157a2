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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float32Array, IntArray
from recsys.core.errors import UsageError, nearest
from recsys.core.history import WeightedHistories
from recsys.core.ids import UNKNOWN, IdMap, id_text
from recsys.encode.fold_in import Neighbours, UserEncoder
from recsys.lookup.histories import Visit, read_visit
from recsys.lookup.matrices import row_of
from recsys.lookup.query import Query
from recsys.lookup.visits import (
    Attributes,
    attribute_relations,
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
    """

    source: Source
    vector: Float32Array | None
    excluded: IntArray
    unknown: list[str]
    user: int = UNKNOWN
    neighbours: Neighbours | None = None
    past: WeightedHistories | None = None
    segment: tuple[int, ...] = ()
    refusal: UsageError | None = None
    target_items: IntArray = field(default_factory=lambda: _NO_ITEMS)


def read_requests(
    bundle: Bundle,
    encoder: UserEncoder,
    queries: Sequence[Query],
    behaviors: tuple[str, ...],
    fallback: Fallback,
) -> list[Request]:
    """One request for each query.

    Args:
        bundle: What is known.
        encoder: Of the bundle.
        queries: Who is asked about.
        behaviors: Whose seen items are excluded.
        fallback: "popularity" sends everybody down the ladder; "refuse" refuses unknown users, and
            visitors of whom nothing is known.

    Returns:
        Requests in the order of the queries. One that is refused among others that are not has the
        source "refused" and its refusal.

    Raises:
        UsageError: All queries are refused, or any has an attribute, behaviour or weight that
            cannot be.
    """
    requests = [read_request(bundle, encoder, query, behaviors) for query in queries]
    if fallback == "popularity":
        return requests
    checked = []
    refusals = []
    for query, request in zip(queries, requests, strict=True):
        refusal = _refusal(bundle, query, request)
        if refusal is None:
            checked.append(request)
        else:
            refusals.append(refusal)
            checked.append(replace(request, source="refused", vector=None, refusal=refusal))
    if refusals and len(refusals) == len(queries):
        raise refusals[0]
    return checked


def read_request(
    bundle: Bundle, encoder: UserEncoder, query: Query, behaviors: tuple[str, ...]
) -> Request:
    """Where a query stands on the ladder. Raises UsageError for what cannot be in a query."""
    user = UNKNOWN if query.user is None else int(bundle.users.lookup([query.user])[0])
    visit = read_visit(bundle, query.history, user)
    segment, model_attributes = _segment(bundle, query.attributes)
    attributes = read_attributes(bundle, model_attributes)
    friends, unknown_friends = read_friends(bundle, query.friends)
    unknown = [*visit.unknown, *unknown_friends]
    if user != UNKNOWN:
        return _known_user(bundle, encoder, user, visit, attributes, friends, behaviors, unknown)
    if query.user is not None:
        unknown = [id_text(query.user) or str(query.user), *unknown]

    excluded = visit.items_under(behaviors)
    neighbours = {**visit.neighbours, **attributes, **friends}
    source: Source
    if visit.neighbours:
        source = "fold_in"
    elif attributes and encoder.state.is_heard:
        source = "attributes"
    elif friends and encoder.state.is_heard:
        source = "social"
    elif segment:
        return Request("segment", None, excluded, unknown, segment=segment)
    else:
        return Request("fallback", None, excluded, unknown)
    vector = encoder.encode(neighbours)[0]
    return Request(
        source,
        vector,
        excluded,
        unknown,
        neighbours=neighbours,
        past=_past(bundle, visit),
        target_items=visit.items_under((bundle.target,)),
    )


def seen_behaviors(bundle: Bundle, exclude_seen: bool | Sequence[str]) -> tuple[str, ...]:
    """Behaviours whose items are excluded. Raises UsageError for one that the log does not have."""
    if isinstance(exclude_seen, bool):
        return bundle.seen_behaviors if exclude_seen else ()
    for name in exclude_seen:
        if name not in bundle.seen:
            hint = nearest(name, bundle.seen) or f"The log has {list(bundle.seen)}"
            raise UsageError(f"exclude_seen names the unknown behaviour {name!r}", hint)
    return tuple(exclude_seen)


def unknown_id(message: str, ids: IdMap, external_id: str) -> UsageError:
    """The error of an unknown id, with the nearest known ones."""
    close = nearest(external_id, ids.ids.head(_IDS_SEARCHED))
    return UsageError(message, close or f"The log has {len(ids):,} {ids.kind}s")


def _known_user(
    bundle: Bundle,
    encoder: UserEncoder,
    user: int,
    visit: Visit,
    attributes: Neighbours,
    friends: Neighbours,
    behaviors: tuple[str, ...],
    unknown: list[str],
) -> Request:
    """By the trained vector, or anew from the neighbours in the graph and what is new.

    Args:
        bundle: What is known.
        encoder: Of the bundle.
        user: Internal id of the user.
        visit: The history with new events, if any.
        attributes: One row by relation; each takes the place of the old one.
        friends: One row by relation; added to the old ones.
        behaviors: Whose items, old and new, are excluded.
        unknown: Ids of the query that the bundle does not know.
    """
    source: Source = "model"
    vector = bundle.user_vectors[user]
    neighbours: Neighbours | None = None
    if visit.neighbours or attributes or friends:
        source = "fold_in"
        with_events = {**known_neighbours(bundle, user), **visit.neighbours}
        neighbours = {**with_friends(with_events, friends), **attributes}
        vector = encoder.encode(neighbours, bundle.user_self[user : user + 1])[0]
    return Request(
        source,
        vector,
        _items_under(bundle, user, visit, behaviors),
        unknown,
        user,
        neighbours,
        _past(bundle, visit, user),
        target_items=_items_under(bundle, user, visit, (bundle.target,)),
    )


def _items_under(bundle: Bundle, user: int, visit: Visit, behaviors: tuple[str, ...]) -> IntArray:
    """Internal ids of items of old and new events under some behaviours, ascending."""
    if visit.history is not None:
        return visit.items_under(behaviors)
    lists: list[IntArray] = []
    for name in behaviors:
        seen = bundle.seen[name]
        lists.append(seen.indices[seen.indptr[user] : seen.indptr[user + 1]])
    if not lists:
        return _NO_ITEMS
    if len(lists) == 1:
        return lists[0]
    return np.unique(np.concatenate(lists))


def _segment(bundle: Bundle, attributes: Attributes) -> tuple[tuple[int, ...], Attributes]:
    """Places of the values that name segments of users, and the attributes that the model itself
    must know.
    """
    segments = bundle.user_segments
    if segments is None or segments.column not in attributes:
        return (), attributes
    row = value_row(segments.column, segments.values, attributes[segments.column])
    places = tuple(row.indices.tolist())
    if segments.column in attribute_relations(bundle):
        return places, attributes
    rest: Mapping[str, object] = {
        column: values for column, values in attributes.items() if column != segments.column
    }
    return places, rest


def _past(bundle: Bundle, visit: Visit, user: int = UNKNOWN) -> WeightedHistories | None:
    """Of a known user, of a visit, or of both; None where nothing is added to the vectors."""
    if bundle.added is None or bundle.past is None:
        return None
    if visit.history is not None:
        return bundle.added.weighted(visit.history, bundle.target)
    if user == UNKNOWN:
        nothing = sparse.csr_matrix((1, len(bundle.items)), dtype=np.float32)
        return WeightedHistories(nothing, dict.fromkeys(bundle.past.auxiliary, nothing))
    auxiliary = {name: row_of(matrix, user) for name, matrix in bundle.past.auxiliary.items()}
    return WeightedHistories(row_of(bundle.past.items, user), auxiliary)


def _refusal(bundle: Bundle, query: Query, request: Request) -> UsageError | None:
    """Why a request is refused where popularity is no answer; None where it is not."""
    if query.user is not None and request.user == UNKNOWN:
        user = request.unknown[0]
        return unknown_id(f"unknown user {user!r}", bundle.users, user)
    if request.source != "fallback":
        return None
    if not request.unknown:
        return unknown_id(_NOTHING_KNOWN, bundle.items, "")
    what = f"none of the items {request.unknown[:5]} is known"
    return unknown_id(what, bundle.items, request.unknown[0])
