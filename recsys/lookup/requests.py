"""Who is asked about: known users, visitors with events or attributes, and those about whom nothing
is known.
"""

from collections.abc import Sequence
from itertools import repeat
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, IntArray
from recsys.core.errors import UsageError, nearest
from recsys.core.history import WeightedHistories
from recsys.core.ids import UNKNOWN, IdMap
from recsys.encode.fold_in import Neighbours, UserEncoder
from recsys.lookup.answers import Source
from recsys.lookup.visits import (
    Attributes,
    Friends,
    History,
    Visit,
    attribute_relations,
    known_neighbours,
    merged,
    read_attributes,
    read_friends,
    read_visit,
    row_of,
    value_row,
)

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle

Fallback = Literal["refuse", "popularity"]
NO_ATTRIBUTES: Attributes = MappingProxyType({})

_IDS_SEARCHED = 100_000
_NOTHING = "the history has no event that the model uses"


class Request(NamedTuple):
    """One list to make.

    vector: (d,), None for popularity. excluded: ascending dense item ids. unknown: outside ids that
    are not known. user: dense id, UNKNOWN for anybody else. neighbours: what the vector was encoded
    from, None where it was not. past: of one user, what is added is asked with it; None where
    nothing is. segment: places of values whose users are asked instead of everybody; empty for
    everybody.
    """

    source: Source
    vector: Float32Array | None
    excluded: IntArray
    unknown: list[str]
    user: int = UNKNOWN
    neighbours: Neighbours | None = None
    past: WeightedHistories | None = None
    segment: tuple[int, ...] = ()


class Asked(NamedTuple):
    """About whom: a known user, a visitor (user None), what they did, what they are, and whom they
    know.
    """

    user: str | None
    history: History = ()
    attributes: Attributes = NO_ATTRIBUTES
    friends: Friends = ()


def asked_about(
    users: Sequence[object] | None,
    histories: Sequence[History] | None = None,
    attributes: Sequence[Attributes] | None = None,
    friends: Sequence[Friends] | None = None,
) -> list[Asked]:
    """One for each place of the lists that are given; a user that is None is a visitor.

    Raises UsageError for none, and for different lengths.
    """
    given = {"users": users, "histories": histories, "attributes": attributes, "friends": friends}
    lengths = {name: len(one) for name, one in given.items() if one is not None}
    if not lengths:
        raise UsageError(
            "nobody to recommend to",
            "Give users, histories, attributes, friends, or several of them",
        )
    if len(set(lengths.values())) > 1:
        counts = " and ".join(f"{count} {name}" for name, count in lengths.items())
        raise UsageError(counts, "Give as many of the one as of the other")
    count = next(iter(lengths.values()))
    names = (
        repeat(None, count)
        if users is None
        else (None if one is None else str(one) for one in users)
    )
    parts = (
        histories or repeat((), count),
        attributes or repeat(NO_ATTRIBUTES, count),
        friends or repeat((), count),
    )
    return [Asked(*one) for one in zip(names, *parts, strict=True)]


def read_requests(
    bundle: "Bundle",
    encoder: UserEncoder,
    asked: Sequence[Asked],
    behaviors: tuple[str, ...],
    fallback: Fallback,
) -> list[Request]:
    """One request each. behaviors: whose seen items are excluded.

    Raises UsageError for attributes that no user had, and for unknown users and items when fallback
    is "refuse".
    """
    found = [
        (_visitor if one.user is None else _user)(bundle, encoder, one, behaviors) for one in asked
    ]
    if fallback == "refuse":
        _refuse_unknown(bundle, asked, found)
    return found


def seen_behaviors(bundle: "Bundle", exclude_seen: bool | Sequence[str]) -> tuple[str, ...]:
    """Behaviours whose items are excluded. Raises UsageError for one that the log does not have."""
    if isinstance(exclude_seen, bool):
        return bundle.seen_behaviors if exclude_seen else ()
    for name in exclude_seen:
        if name not in bundle.seen:
            hint = nearest(name, bundle.seen) or f"The log has {list(bundle.seen)}"
            raise UsageError(f"exclude_seen names the unknown behaviour {name!r}", hint)
    return tuple(exclude_seen)


def strange(message: str, ids: IdMap, outside: str) -> UsageError:
    """Unknown id, with the nearest known ones."""
    return UsageError(
        message,
        nearest(outside, ids.ids.head(_IDS_SEARCHED)) or f"The log has {len(ids):,} {ids.kind}s",
    )


def _user(
    bundle: "Bundle", encoder: UserEncoder, asked: Asked, behaviors: tuple[str, ...]
) -> Request:
    """A known user; new events are added to the old ones, an attribute takes the place of the old
    one.
    """
    dense = int(bundle.users.lookup([asked.user])[0])
    if dense == UNKNOWN:
        visitor = _visitor(bundle, encoder, asked, behaviors)
        return visitor._replace(unknown=[str(asked.user), *visitor.unknown])
    visit = read_visit(bundle, asked.history)
    lists = [bundle.seen[name] for name in behaviors]
    seen = [matrix.indices[matrix.indptr[dense] : matrix.indptr[dense + 1]] for matrix in lists]
    new = visit.under(behaviors)
    excluded = seen[0] if len(seen) == 1 and not len(new) else _union([*seen, new])
    past = _past(bundle, visit, dense)
    friends, strangers = read_friends(bundle, asked.friends)
    unknown = [*visit.unknown, *strangers]
    traits = read_attributes(bundle, _segment(bundle, asked.attributes)[1])
    if not visit.neighbours and not friends and not traits:
        return Request("model", bundle.user_vectors[dense], excluded, unknown, dense, past=past)
    heard = merged(
        known_neighbours(bundle, dense), visit.neighbours, bundle.encoder.half_life_events
    )
    neighbours = {**merged(heard, friends), **traits}
    vector = encoder.encode(neighbours, bundle.user_self[dense : dense + 1])[0]
    return Request("fold_in", vector, excluded, unknown, dense, neighbours, past)


def _visitor(
    bundle: "Bundle", encoder: UserEncoder, asked: Asked, behaviors: tuple[str, ...]
) -> Request:
    """By the first step that what is known allows; what later steps know goes into the same vector."""
    visit = read_visit(bundle, asked.history)
    segment, rest = _segment(bundle, asked.attributes)
    traits = read_attributes(bundle, rest)
    friends, strangers = read_friends(bundle, asked.friends)
    excluded, unknown = visit.under(behaviors), [*visit.unknown, *strangers]
    neighbours = {**visit.neighbours, **traits, **friends}
    if not neighbours:
        return Request(
            "segment" if segment else "fallback", None, excluded, unknown, segment=segment
        )
    source: Source = "fold_in" if visit.neighbours else "attributes" if traits else "social"
    vector = encoder.encode(neighbours)[0]
    return Request(source, vector, excluded, unknown, UNKNOWN, neighbours, _past(bundle, visit))


def _segment(bundle: "Bundle", attributes: Attributes) -> tuple[tuple[int, ...], Attributes]:
    """Places of the values that name segments of users, and the attributes that the model itself
    must know.
    """
    found = bundle.user_segments
    if found is None or found.column not in attributes:
        return (), attributes
    row = value_row(found.column, found.values, attributes[found.column])
    known = attribute_relations(bundle)
    rest = {
        column: values
        for column, values in attributes.items()
        if column != found.column or column in known
    }
    return tuple(int(place) for place in row.indices), rest


def _past(bundle: "Bundle", visit: Visit, user: int = UNKNOWN) -> WeightedHistories | None:
    """Of a known user, of a visit, or of both."""
    if bundle.added is None or bundle.past is None:
        return None
    nothing = sparse.csr_matrix((1, len(bundle.items)), dtype=np.float32)
    old = WeightedHistories(nothing, dict.fromkeys(bundle.past.auxiliary, nothing))
    if user != UNKNOWN:
        rows = {name: row_of(matrix, user) for name, matrix in bundle.past.auxiliary.items()}
        old = WeightedHistories(row_of(bundle.past.items, user), rows)
    return bundle.added.extended(old, visit.events, bundle.target)


def _union(lists: list[IntArray]) -> IntArray:
    return np.unique(np.concatenate(lists)) if lists else np.empty(0, np.int32)


def _refuse_unknown(bundle: "Bundle", asked: Sequence[Asked], requests: list[Request]) -> None:
    """Raises UsageError when an asked-for user, or a whole history, is unknown."""
    for one, request in zip(asked, requests, strict=True):
        if one.user is not None and request.user == UNKNOWN:
            raise strange(f"unknown user {request.unknown[0]!r}", bundle.users, request.unknown[0])
        if request.source == "fallback":
            first = request.unknown[0] if request.unknown else ""
            what = (
                f"none of the items {request.unknown[:5]} is known" if request.unknown else _NOTHING
            )
            raise strange(what, bundle.items, first)
