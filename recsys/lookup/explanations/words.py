"""Explanations in words: what the largest parts of a score have in common with the item."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NotRequired

import numpy as np
from typing_extensions import TypedDict

from recsys.bundle.bundle import USER_NODES, Bundle
from recsys.core.arrays import Float64Array, IntArray
from recsys.core.tables import ITEM, USER
from recsys.lookup.cold_start import Request
from recsys.lookup.explanations.parts import Explanations, RelationShares
from recsys.lookup.explanations.verbs import (
    did_before,
    recently_done,
    somebody_did,
    which_you_did,
)
from recsys.lookup.labels import NamedItem, names_of, node_label
from recsys.second_stage.features import feature_named

_ITEMS_NAMED = 3  # of a history, in one reason
_SIMILAR_USERS = "similar_users"


ReasonCode = Literal[
    "history",
    "had_before",
    "people",
    "attribute",
    "trend",
    "favoured",
    "popular",
    "popular_recently",
    "second_stage",
]


class InCommon(TypedDict):
    """A value of an attribute, of items or of users."""

    column: str
    values: list[str]


_EMPHASIS = re.compile(r"\\(.)|\*")


class Reason(TypedDict):
    """One reason in words, and as a code with its parts, for words of another language.

    text: names of items stand between asterisks; asterisks and backslashes in names are escaped by
        a backslash.
    share: what its neighbours, named or not, add to the score.
    code: history: items of the history under `behavior`, which have the attribute `in_common`.
        had_before: the item itself, under `behavior`. people: `count` friends, or users alike, by
        `relation`. attribute: the user's. trend, favoured: popular of late; as the score or the
        request favours. second_stage: what trees make of it, `features` being what they read.
        popular, popular_recently: popularity alone made the list, of users with
        the attribute where there is one.
    """

    text: str
    share: float
    code: ReasonCode
    behavior: NotRequired[str]
    items: NotRequired[list[NamedItem]]
    in_common: NotRequired[InCommon]
    relation: NotRequired[str]
    count: NotRequired[int]
    attribute: NotRequired[InCommon]
    features: NotRequired[list[str]]


PlacedReason = tuple[int, Reason]
"""A reason, and the position of its item among those that are explained."""


def reasons_of(bundle: Bundle, explanations: Explanations, request: Request) -> list[list[Reason]]:
    """Why somebody is shown some items.

    "because of *Alien* and *Blade Runner* (genres: sci-fi)": items of the history, and what they
    share with this one. "a friend bought it": friends who had it. "often bought recently": the
    trend. Where popularity makes the list, it is the only reason.

    Args:
        bundle: That answers.
        explanations: Of the items' scores.
        request: Who is asked about.

    Returns:
        Of each item, reasons that speak for it, the largest share first.
    """
    scores = explanations.scores.tolist()
    if request.vector is None:
        return [[_popular(bundle, request, score)] for score in scores]
    by_item: list[list[Reason]] = [[] for _ in scores]
    for shares in explanations.shares:
        for position, reason in _of_relation(bundle, explanations.items, shares):
            by_item[position].append(reason)
    recently, favoured = recently_done(bundle.target), "popular, which this list favours"
    for position, share in _positive(explanations.trend):
        trend = Reason(text=recently, share=share, code="trend", behavior=bundle.target)
        by_item[position].append(trend)
    for position, share in _positive(explanations.popularity):
        by_item[position].append(Reason(text=favoured, share=share, code="favoured"))
    for position, reason in _from_second_stage(explanations):
        by_item[position].append(reason)
    for reasons in by_item:
        reasons.sort(key=lambda reason: -reason["share"])
    return by_item


def _from_second_stage(explanations: Explanations) -> Iterator[PlacedReason]:
    """A reason for each thing that trees read, with the features that stand for it together."""
    features: dict[str, list[str]] = {}
    for name in explanations.second_stage:
        if name:
            features.setdefault(feature_named(name).words, []).append(name)
    for words, names in features.items():
        shares = np.sum([explanations.second_stage[name] for name in names], axis=0)
        for position, share in _positive(shares):
            text = f"moved up for {words}"
            yield position, Reason(text=text, share=share, code="second_stage", features=names)


def plain_text(text: str) -> str:
    """The text of a reason without the asterisks around names, and names without escapes."""
    return _EMPHASIS.sub(lambda sign: sign[1] or "", text)


def _of_relation(bundle: Bundle, items: IntArray, shares: RelationShares) -> Iterator[PlacedReason]:
    """What the neighbours under one relation say for some items."""
    if shares.source == ITEM:
        yield from _from_items(bundle, items, shares)
    elif shares.source == USER:
        yield from _from_users(bundle, items, shares)
    elif shares.source.startswith(USER_NODES):
        yield from _from_attribute(bundle, shares)


def _positive(shares: Float64Array) -> Iterator[tuple[int, float]]:
    """Positions and shares that speak for their items."""
    for position in np.flatnonzero(shares > 0).tolist():
        yield position, float(shares[position])


def _popular(bundle: Bundle, request: Request, share: float) -> Reason:
    if bundle.popular is None:
        reason = Reason(text="popular", share=share, code="popular")
    else:
        reason = Reason(text="popular recently", share=share, code="popular_recently")
    segments = bundle.user_segments
    if segments is not None and request.segment:
        values = [segments.values[row] for row in request.segment]
        reason["text"] += f" where {_column_name(segments.column)} is {_enumeration(values)}"
        reason["attribute"] = {"column": segments.column, "values": values}
    return reason


def _from_items(bundle: Bundle, items: IntArray, shares: RelationShares) -> Iterator[PlacedReason]:
    """A reason for the items of a history under one behaviour, and one for the item itself."""
    behavior = shares.relation.removeprefix("rev_")
    is_itself = shares.neighbours[:, None] == items
    others = np.where(is_itself, 0.0, shares.values)
    itself = np.where(is_itself, shares.values, 0.0).sum(axis=0)
    for position, share in _positive(itself):
        text = did_before(behavior)
        yield position, Reason(text=text, share=share, code="had_before", behavior=behavior)

    largest = np.argsort(-others, axis=0, kind="stable")[:_ITEMS_NAMED]
    is_named = np.take_along_axis(others, largest, axis=0) > 0
    neighbours = shares.neighbours[largest]
    names = names_of(bundle, neighbours[is_named].tolist())
    values = {item: set(bundle.attributes.values_of(item)) for item in names}
    for position, share in _positive(others.sum(axis=0)):
        named = neighbours[is_named[:, position], position].tolist()
        in_common = _in_common(bundle, int(items[position]), [values[item] for item in named])
        because = _because_of(bundle, [names[item] for item in named], behavior, share, in_common)
        yield position, because


def _because_of(
    bundle: Bundle,
    items: list[NamedItem],
    behavior: str,
    share: float,
    in_common: InCommon | None,
) -> Reason:
    """The reason of some items of a history.

    Args:
        bundle: That answers.
        items: Those that are named.
        behavior: By which they stand in the history.
        share: Of all of them, named or not.
        in_common: What they have in common with the item that is explained.
    """
    names = []
    for item in items:
        names.append(f"*{_escaped(item.get('title', item['id']))}*")
    text = f"because of {_enumeration(names)}"
    if behavior != bundle.target:
        text += which_you_did(behavior)
    reason = Reason(text=text, share=share, code="history", behavior=behavior, items=items)
    if in_common is not None:
        [value] = in_common["values"]
        reason["text"] += f" ({_column_name(in_common['column'])}: {value})"
        reason["in_common"] = in_common
    return reason


def _escaped(name: str) -> str:
    """A name that may hold the marks of names, M*A*S*H say."""
    return name.replace("\\", r"\\").replace("*", r"\*")


def _from_users(bundle: Bundle, items: IntArray, shares: RelationShares) -> Iterator[PlacedReason]:
    """Friends, or users who are alike: how many of those that speak for an item had it."""
    had = bundle.seen[bundle.target][shares.neighbours][:, items].toarray() > 0
    counts = (had & (shares.values > 0)).sum(axis=0).tolist()
    for position, share in _positive(shares.values.sum(axis=0)):
        yield (
            position,
            Reason(
                text=_people(shares.relation, counts[position], somebody_did(bundle.target)),
                share=share,
                code="people",
                relation=shares.relation.removeprefix("rev_"),
                count=counts[position],
                behavior=bundle.target,
            ),
        )


def _people(relation: str, count: int, did_it: str) -> str:
    singular, plural = "a friend", "friends"
    if relation == _SIMILAR_USERS:
        singular, plural = "a user like you", "users like you"
    if not count:
        return f"what {plural} go for"
    if count == 1:
        return f"{singular} {did_it}"
    return f"{count} {plural} {did_it}"


def _from_attribute(bundle: Bundle, shares: RelationShares) -> Iterator[PlacedReason]:
    """One reason for each value that the user has."""
    column = shares.source.removeprefix(USER_NODES)
    for neighbour, values in zip(shares.neighbours.tolist(), shares.values, strict=True):
        value = node_label(bundle, shares.source, neighbour)
        for position, share in _positive(values):
            yield (
                position,
                Reason(
                    text=f"because {_column_name(column)} is {value}",
                    share=share,
                    code="attribute",
                    attribute={"column": column, "values": [value]},
                ),
            )


def _in_common(bundle: Bundle, item: int, others: Sequence[set[int]]) -> InCommon | None:
    """The rarest attribute value that an item shares with all others, of which the values are given;
    None where there is none.
    """
    attributes = bundle.attributes
    shared = set(attributes.values_of(item)).intersection(*others)
    if not shared:
        return None
    rarest = min(shared, key=lambda row: (attributes.num_items[row], row))
    column, value = attributes.named.row(rarest)
    return {"column": column, "values": [value]}


def _column_name(column: str) -> str:
    """A column as people read it: "release_year" → "release year"."""
    return column.replace("_", " ")


def _enumeration(names: Sequence[str]) -> str:
    """Names with commas and an "and" before the last."""
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
