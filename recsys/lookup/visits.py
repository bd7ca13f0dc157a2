"""Attributes and friends of a request as neighbours that the encoder understands."""

from collections.abc import Mapping, Sequence

import numpy as np

from recsys.bundle.bundle import USER_NODES, Bundle
from recsys.core.bins import bin_of
from recsys.core.distinct import distinct
from recsys.core.errors import UsageError, nearest
from recsys.core.ids import UNKNOWN
from recsys.lookup.histories import require_list
from recsys.lookup.matrices import Rows, SparseRow, row_of

Attributes = Mapping[str, object]
"""By column of the user table, a value or several."""

Friends = Sequence[object]
"""Ids of known users: whom somebody follows, trusts or is friends with."""

_OF_INTERACTIONS = "similar_users"  # made from interactions, so nobody can name them


def read_attributes(bundle: Bundle, attributes: Attributes) -> Rows:
    """One row per attribute that is given, as the graph would link a user with these values.

    Raises UsageError for a column that the model does not know, or a value that no user had.
    """
    relations = bundle.user_attributes
    rows = {}
    for column, values in attributes.items():
        if column not in relations:
            raise _unknown_attribute(column, list(relations))
        labels = bundle.labels[USER_NODES + column]
        rows[relations[column]] = value_row(column, labels, values)
    return rows


def read_friends(bundle: Bundle, friends: Friends) -> tuple[Rows, list[str]]:
    """One row per relation between users, with an edge from each friend, and the ids that are not
    known.

    Of a directed relation it is the one by which messages come from those that somebody points to.
    Raises UsageError when the model has no relation between users.
    """
    if not friends:
        return {}, []
    require_list("friends", friends)
    names = set()
    for relation in bundle.encoder.relations:
        if relation.source == "user" and relation.name != _OF_INTERACTIONS:
            names.add(relation.name)
    if not names:
        raise UsageError(
            "friends: this model knows no relation between users",
            "Train with one in graph.relations",
        )
    internal_ids = bundle.users.lookup(friends)
    known = distinct(internal_ids[internal_ids != UNKNOWN]).astype(np.int64)
    unknown = []
    for friend, user in zip(friends, internal_ids, strict=True):
        if user == UNKNOWN:
            unknown.append(str(friend))
    if not len(known):
        return {}, unknown
    row = SparseRow(known, np.ones(len(known), np.float32), len(bundle.users))
    receiving = [name for name in sorted(names) if f"rev_{name}" not in names]
    return dict.fromkeys(receiving, row), unknown


def known_neighbours(bundle: Bundle, user: int) -> dict[str, SparseRow]:
    """The neighbours of a user in the graph that was served."""
    return {name: row_of(matrix, user) for name, matrix in bundle.neighbours.items()}


def with_friends(neighbours: Rows, friends: Rows) -> Rows:
    """Neighbours with further friends; a friend who was there already stays one edge."""
    rows = dict(neighbours)
    for name, row in friends.items():
        if name in rows:
            row = _largest(rows[name], row)
        rows[name] = row
    return rows


def _largest(left: SparseRow, right: SparseRow) -> SparseRow:
    """The larger entry at each column that either has."""
    indices = distinct(left.indices, right.indices)
    values = np.zeros(len(indices), np.float32)
    for row in (left, right):
        places = np.searchsorted(indices, row.indices)
        values[places] = np.maximum(values[places], row.values)
    return SparseRow(indices, values, left.num_columns)


def value_row(column: str, labels: Sequence[str], values: object) -> SparseRow:
    """Weight 1 at each value of those that there are; compared as text, as in the graph. A number stands
    for its bin.
    """
    is_list = isinstance(values, Sequence | set | frozenset) and not isinstance(values, str)
    several = values if is_list else [values]
    columns = set()
    for value in several:  # type: ignore[attr-defined]
        text = str(value).strip()
        if text not in labels:
            text = bin_of(text, labels) or text
        if text not in labels:
            raise _unknown_value(column, text, labels)
        columns.add(labels.index(text))
    indices = np.array(sorted(columns), np.int64)
    return SparseRow(indices, np.ones(len(indices), np.float32), len(labels))


def _unknown_value(column: str, text: str, labels: Sequence[str]) -> UsageError:
    hint = nearest(text, labels)
    if not hint:
        known = ", ".join(repr(label) for label in labels[:10])
        hint = f"Users have {known}, …" if len(labels) > 10 else f"Users have {known}"
    return UsageError(f"no user had {column} = {text!r}", hint, code="unknown_value")


def _unknown_attribute(column: str, known: list[str]) -> UsageError:
    if not known:
        remedy = f'Train with graph.attributes = [{{ column = "{column}", side = "user" }}]'
        return UsageError(
            f"attribute {column!r}: this model uses no attributes of users",
            remedy,
            code="unknown_attribute",
        )
    hint = nearest(column, known) or f"The model uses {known}"
    return UsageError(f"unknown user attribute {column!r}", hint, code="unknown_attribute")
