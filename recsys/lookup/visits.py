"""Events and attributes from outside (a visitor's clicks, a user's new ones) as neighbours that the
encoder understands.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.arrays import Float32Array, Int32Array, IntArray
from recsys.core.bins import bin_of
from recsys.core.encoder import RelationState
from recsys.core.errors import UsageError, nearest
from recsys.core.ids import UNKNOWN, id_text
from recsys.encode.fold_in import Neighbours, edge_weights

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle


class Event(NamedTuple):
    """One event of a history. behavior: the target behaviour when None. time: unix seconds; None
    means now.
    """

    item: str
    behavior: str | None = None
    time: float | None = None
    weight: float = 1.0


History = Sequence[object]
"""Events, or ids of items, each standing for an event of just now."""

Attributes = Mapping[str, object]
"""By column of the user table, a value or several."""

Friends = Sequence[object]
"""Ids of known users: whom somebody follows, trusts or is friends with."""

_USER_NODES = "user:"
_OF_INTERACTIONS = "similar_users"  # made from what users took, so nobody can name them


@dataclass(frozen=True)
class Visit:
    """A history in dense ids. unknown: ids that are not in the catalogue.

    events: (behaviour, item), the latest last: by time, and in the order given where none is.
    neighbours: one row per relation that some event feeds.
    """

    neighbours: Neighbours
    events: tuple[tuple[str, int], ...]
    unknown: list[str]

    def under(self, behaviors: Collection[str]) -> Int32Array:
        """Items of some behaviours, ascending, each once."""
        if not self.events:
            return np.empty(0, np.int32)
        return np.unique(
            np.array([item for name, item in self.events if name in behaviors], np.int32)
        )


def read_visit(bundle: "Bundle", history: History) -> Visit:
    """Raises UsageError for a behaviour that the log does not have, or a weight that is not above
    0.
    """
    if not history:
        return Visit({}, (), [])
    events = [event if isinstance(event, Event) else _event_of(event) for event in history]
    for event in events:
        _check_event(bundle, event)
    dense = bundle.items.lookup([event.item for event in events])
    known = [(event, item) for event, item in zip(events, dense, strict=True) if item != UNKNOWN]
    neighbours = {
        relation.name: edges
        for relation in bundle.encoder.relations
        if relation.behavior is not None and (edges := _edges(bundle, relation, known)).nnz
    }
    unknown = [event.item for event, item in zip(events, dense, strict=True) if item == UNKNOWN]
    return Visit(neighbours, _ordered(bundle, known), unknown)


def read_attributes(bundle: "Bundle", attributes: Attributes) -> Neighbours:
    """One row per attribute that is given, as the graph would link a user with these values.

    Raises UsageError for a column that the model does not know, or a value that no user had.
    """
    relations = attribute_relations(bundle)
    for column in attributes:
        if column not in relations:
            raise _unknown_attribute(column, list(relations))
    return {
        relations[column].name: value_row(column, bundle.labels[relations[column].source], values)
        for column, values in attributes.items()
    }


def attribute_relations(bundle: "Bundle") -> dict[str, RelationState]:
    """By column of the user table that the model uses."""
    return {
        relation.source.removeprefix(_USER_NODES): relation
        for relation in bundle.encoder.relations
        if relation.source.startswith(_USER_NODES) and relation.source in bundle.labels
    }


def read_friends(bundle: "Bundle", friends: Friends) -> tuple[Neighbours, list[str]]:
    """One row per relation between users, with an edge from each friend, and the ids that are not
    known.

    Of a directed relation it is the one by which somebody hears from those they point to. Raises
    UsageError when the model has no relation between users.
    """
    if not friends:
        return {}, []
    names = {one.name for one in bundle.encoder.relations if one.source == "user"} - {
        _OF_INTERACTIONS
    }
    if not names:
        raise UsageError(
            "friends: this model knows no relation between users",
            "Train with one in graph.relations",
        )
    dense = bundle.users.lookup(friends)
    known = np.unique(dense[dense != UNKNOWN]).astype(np.int64)
    row = one_row(known, np.ones(len(known), np.float32), len(bundle.users))
    unknown = [str(one) for one, place in zip(friends, dense, strict=True) if place == UNKNOWN]
    heard = [name for name in sorted(names) if f"rev_{name}" not in names] if len(known) else []
    return dict.fromkeys(heard, row), unknown


def known_neighbours(bundle: "Bundle", user: int) -> dict[str, sparse.csr_matrix]:
    """One row per relation: the neighbours of a user in the graph that was served."""
    return {name: row_of(matrix, user) for name, matrix in bundle.neighbours.items()}


def row_of(matrix: sparse.csr_matrix, row: int) -> sparse.csr_matrix:
    """One row as a matrix; scipy's own slicing costs ten times as much."""
    start, stop = matrix.indptr[row], matrix.indptr[row + 1]
    return one_row(matrix.indices[start:stop], matrix.data[start:stop], matrix.shape[1])


def one_row(indices: IntArray, values: NDArray[np.generic], num_columns: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((values, indices, np.array([0, len(indices)])), shape=(1, num_columns))


def merged(neighbours: Neighbours, new: Neighbours, half_life: float | None = None) -> Neighbours:
    """Old edges of a user and later ones; weights of a repeated pair are added.

    half_life: `EncoderState.half_life_events`; the old edges of a relation fade by the number of
    its new ones.
    """
    both: Mapping[str, sparse.csr_matrix] = {**new, **neighbours}
    return {
        name: _canonical(both[name] * _fading(new[name].nnz, half_life) + new[name])
        if name in neighbours and name in new
        else both[name]
        for name in both
    }


def _fading(later: IntArray | int, half_life: float | None) -> Float32Array:
    """What an event with so many later ones still weighs; never nothing, as in the graph."""
    faded = (
        np.ones(np.shape(later)) if half_life is None else np.exp2(-np.asarray(later) / half_life)
    )
    return np.maximum(faded, np.finfo(np.float32).tiny).astype(np.float32)


def _in_time(bundle: "Bundle", known: Sequence[tuple[Event, int]], behavior: str) -> Int32Array:
    """Dense items of a behaviour in time, each once; of a repeated one the latest event counts."""
    latest = dict.fromkeys(
        item for name, item in reversed(_ordered(bundle, known)) if name == behavior
    )
    return np.array(list(latest)[::-1], np.int32)


def _ordered(bundle: "Bundle", known: Sequence[tuple[Event, int]]) -> tuple[tuple[str, int], ...]:
    """Behaviours and dense items in time, an event without a time being new."""
    ordered = sorted(known, key=lambda pair: math.inf if pair[0].time is None else pair[0].time)
    return tuple((event.behavior or bundle.target, int(item)) for event, item in ordered)


def _edges(
    bundle: "Bundle", relation: RelationState, known: Sequence[tuple[Event, int]]
) -> sparse.csr_matrix:
    fed = [
        (event, item)
        for event, item in known
        if (event.behavior or bundle.target) == relation.behavior
    ]
    items = np.array([item for _, item in fed], np.int64)
    weights = np.array([event.weight for event, _ in fed], np.float64)
    times = np.array([np.nan if event.time is None else event.time for event, _ in fed], np.float64)
    values = edge_weights(bundle.encoder, relation, weights, times)
    distinct, place = np.unique(items, return_inverse=True)
    summed = np.bincount(place, values, minlength=len(distinct)) if len(distinct) else np.empty(0)
    in_time = _in_time(bundle, known, str(relation.behavior))
    later = len(in_time) - 1 - np.argsort(in_time)
    return one_row(
        distinct, summed * _fading(later, bundle.encoder.half_life_events), len(bundle.items)
    )


def value_row(column: str, labels: Sequence[str], values: object) -> sparse.csr_matrix:
    """(1, labels) with weight 1 at each value; compared as text, as in the graph. A number stands
    for its bin.
    """
    several = (
        values
        if isinstance(values, Sequence | set | frozenset) and not isinstance(values, str)
        else [values]
    )
    given = {str(value).strip() for value in several}
    texts = {text if text in labels else bin_of(text, labels) or text for text in given}
    for text in sorted(texts - set(labels)):
        hint = (
            nearest(text, labels)
            or f"Users have {', '.join(map(repr, labels[:10]))}{', …' * (len(labels) > 10)}"
        )
        raise UsageError(f"no user had {column} = {text!r}", hint)
    places = np.array(sorted(labels.index(text) for text in texts), np.int64)
    return one_row(places, np.ones(len(places), np.float32), len(labels))


def _unknown_attribute(column: str, known: list[str]) -> UsageError:
    if not known:
        remedy = f'Train with graph.attributes = [{{ column = "{column}", side = "user" }}]'
        return UsageError(f"attribute {column!r}: this model uses no attributes of users", remedy)
    return UsageError(
        f"unknown user attribute {column!r}", nearest(column, known) or f"The model uses {known}"
    )


def _canonical(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix.sort_indices()
    return matrix


def _event_of(item: object) -> Event:
    return Event(id_text(item) or str(item))


def _check_event(bundle: "Bundle", event: Event) -> None:
    known, name = bundle.segments[1:], event.behavior
    if name is not None and name not in known:
        raise UsageError(
            f"unknown behaviour {name!r}", nearest(name, known) or f"The log has {list(known)}"
        )
    if not 0 < event.weight < math.inf:
        raise UsageError(
            f"the event of {event.item!r} has weight {event.weight}", "Give a finite number above 0"
        )
    if event.time is not None and not math.isfinite(event.time):
        raise UsageError(
            f"the event of {event.item!r} has time {event.time}",
            "Give unix seconds, or None for an event of just now",
        )
