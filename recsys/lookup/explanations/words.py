"""Explanations in words: what the largest parts of a score have in common with the item."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import TypedDict

from recsys.bundle.bundle import Bundle
from recsys.lookup.cold_start import Request
from recsys.lookup.explanations.parts import Explanation, Part
from recsys.lookup.explanations.verbs import (
    did_before,
    recently_done,
    somebody_did,
    which_you_did,
)
from recsys.lookup.labels import item_name, node_label

_ITEMS_NAMED = 3  # of a history, in one reason
_SIMILAR_USERS = "similar_users"
_USER_NODES = "user:"


class Reason(TypedDict):
    """One reason in words.

    share: what its neighbours, named or not, add to the score.
    """

    text: str
    share: float


def reasons_of(
    bundle: Bundle, item: int, explanation: Explanation, request: Request
) -> list[Reason]:
    """Why somebody is shown an item.

    "because of *Alien* and *Blade Runner* (genres: sci-fi)": items of the history, and what they
    share with this one. "a friend bought it": friends who had it. "often bought recently": the
    trend. Where popularity makes the list, it is the only reason.

    Args:
        bundle: That answers.
        item: Internal id.
        explanation: Of the item's score.
        request: Who is asked about.

    Returns:
        Reasons that speak for the item, the largest share first.
    """
    if request.vector is None:
        return [Reason(text=_popular(bundle, request), share=explanation.score)]
    reasons = [
        *_from_items(bundle, item, explanation.parts),
        *_from_users(bundle, item, explanation.parts),
        *_from_attributes(bundle, explanation.parts),
        Reason(text=recently_done(bundle.target), share=explanation.trend),
        Reason(text="popular, which this list favours", share=explanation.popularity),
    ]
    positive = [reason for reason in reasons if reason["share"] > 0]
    positive.sort(key=lambda reason: -reason["share"])
    return positive


def _popular(bundle: Bundle, request: Request) -> str:
    popular = "popular" if bundle.popular is None else "popular recently"
    segments = bundle.user_segments
    if segments is None or not request.segment:
        return popular
    column = _column_name(segments.column)
    values = _enumeration([segments.values[row] for row in request.segment])
    return f"{popular} where {column} is {values}"


def _from_items(bundle: Bundle, item: int, parts: Sequence[Part]) -> list[Reason]:
    """One reason for each behaviour of a history, and one for each with the item itself."""
    reasons = []
    for relation, of_relation in _by_relation(parts, "item").items():
        behavior = relation.removeprefix("rev_")
        itself = []
        others = []
        for contribution in of_relation:
            if contribution.neighbour == item:
                itself.append(contribution)
            else:
                others.append(contribution)
        if itself:
            reasons.append(Reason(text=did_before(behavior), share=_total(itself)))
        largest = others[:_ITEMS_NAMED]
        named = [contribution.neighbour for contribution in largest if contribution.value > 0]
        if named:
            text = _because_of(bundle, item, named, behavior)
            reasons.append(Reason(text=text, share=_total(others)))
    return reasons


def _because_of(bundle: Bundle, item: int, others: Sequence[int], behavior: str) -> str:
    names = [f"*{item_name(bundle, neighbour)}*" for neighbour in others]
    text = f"because of {_enumeration(names)}"
    if behavior != bundle.target:
        text += which_you_did(behavior)
    return text + _in_common(bundle, item, others)


def _from_users(bundle: Bundle, item: int, parts: Sequence[Part]) -> list[Reason]:
    """Friends, and users who are alike: how many of them had the item."""
    reasons = []
    for relation, of_relation in _by_relation(parts, "user").items():
        count = 0
        for contribution in of_relation:
            if contribution.value > 0 and _had(bundle, contribution.neighbour, item):
                count += 1
        text = _people(relation, count, somebody_did(bundle.target))
        reasons.append(Reason(text=text, share=_total(of_relation)))
    return reasons


def _people(relation: str, count: int, did_it: str) -> str:
    singular, plural = "a friend", "friends"
    if relation == _SIMILAR_USERS:
        singular, plural = "a user like you", "users like you"
    if not count:
        return f"what {plural} go for"
    if count == 1:
        return f"{singular} {did_it}"
    return f"{count} {plural} {did_it}"


def _from_attributes(bundle: Bundle, parts: Sequence[Part]) -> list[Reason]:
    """One reason for each attribute value of the user."""
    reasons = []
    for contribution in parts:
        if contribution.source.startswith(_USER_NODES):
            column = _column_name(contribution.source.removeprefix(_USER_NODES))
            value = node_label(bundle, contribution.source, contribution.neighbour)
            reasons.append(Reason(text=f"because {column} is {value}", share=contribution.value))
    return reasons


def _in_common(bundle: Bundle, item: int, others: Sequence[int]) -> str:
    """The rarest attribute value that an item shares with all others, in brackets; nothing where
    there is none.
    """
    attributes = bundle.attributes
    shared = set(attributes.values_of(item))
    for neighbour in others:
        shared.intersection_update(attributes.values_of(neighbour))
    if not shared:
        return ""
    num_items = np.diff(attributes.lists.indptr)
    rarest = min(shared, key=lambda row: (num_items[row], row))
    column, value = attributes.named.row(rarest)
    return f" ({_column_name(column)}: {value})"


def _had(bundle: Bundle, user: int, item: int) -> bool:
    interactions = bundle.seen[bundle.target]
    start, stop = interactions.indptr[user], interactions.indptr[user + 1]
    return bool((interactions.indices[start:stop] == item).any())


def _by_relation(parts: Sequence[Part], node_type: str) -> dict[str, list[Part]]:
    """Parts of neighbours of one type by their relation."""
    by_relation: dict[str, list[Part]] = {}
    for contribution in parts:
        if contribution.source == node_type:
            by_relation.setdefault(contribution.relation, []).append(contribution)
    return by_relation


def _column_name(column: str) -> str:
    """A column as people read it: "release_year" → "release year"."""
    return column.replace("_", " ")


def _enumeration(names: Sequence[str]) -> str:
    """Names with commas and an "and" before the last."""
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _total(parts: Sequence[Part]) -> float:
    return sum(contribution.value for contribution in parts)
