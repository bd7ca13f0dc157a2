"""Explanations in words: what the largest parts of a score have in common with the item."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from recsys.core.tables import TITLE
from recsys.lookup.answers import Because
from recsys.lookup.explain import Explanation, Part
from recsys.lookup.requests import Request

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle

_NAMED = 3  # items of a history that one reason names
_NO_VERB = "interaction"
_SIMILAR = "similar_users"
_PAST = {
    "buy": "bought",
    "see": "saw",
    "read": "read",
    "hear": "heard",
    "put": "put",
    "get": "got",
    _NO_VERB: "had",
}


def because(bundle: "Bundle", item: int, found: Explanation, request: Request) -> list[Because]:
    """Why somebody is shown a dense item, the largest share first; only what speaks for it.

    "because of *Alien* and *Blade Runner* (genre: sci-fi)": items of the history, and what they
    share with this one. "a friend bought it": friends who had it. "often bought of late": the
    trend. Without a vector, the popularity that the answer goes by.
    """
    if request.vector is None:
        return [Because(text=_popular(bundle, request), share=found.score)]
    reasons = [
        *_items(bundle, item, found.parts),
        *_users(bundle, item, found.parts),
        *_values(bundle, found.parts),
    ]
    reasons += [Because(text=f"often {_past(bundle.target)} of late", share=found.trend)]
    return sorted((one for one in reasons if one["share"] > 0), key=lambda one: -one["share"])


def _popular(bundle: "Bundle", request: Request) -> str:
    segments, what = (
        bundle.user_segments,
        "popular" if bundle.popular is None else "popular of late",
    )
    if segments is None or not request.segment:
        return what
    return f"{what} where {_word(segments.column)} is {_listed([segments.values[one] for one in request.segment])}"


def _items(bundle: "Bundle", item: int, parts: Sequence[Part]) -> Iterator[Because]:
    """One reason for each behaviour of a history."""
    for relation in dict.fromkeys(part.relation for part in parts if part.source == "item"):
        of_relation = [
            part for part in parts if part.source == "item" and part.relation == relation
        ]
        behavior = relation.removeprefix("rev_")
        itself = [part for part in of_relation if part.neighbour == item]
        if itself:
            yield Because(text=f"you {_past(behavior)} it before", share=_total(itself))
        others = [part for part in of_relation if part.neighbour != item]
        named = [part.neighbour for part in others[:_NAMED] if part.value > 0]
        if named:
            names = _listed([f"*{_name(bundle, one)}*" for one in named])
            how = "" if behavior == bundle.target else f", which you {_past(behavior)}"
            yield Because(
                text=f"because of {names}{how}{_in_common(bundle, item, named)}",
                share=_total(others),
            )


def _users(bundle: "Bundle", item: int, parts: Sequence[Part]) -> Iterator[Because]:
    """Friends, and users who take the same things: how many of them had the item."""
    for relation in dict.fromkeys(part.relation for part in parts if part.source == "user"):
        of_relation = [
            part for part in parts if part.source == "user" and part.relation == relation
        ]
        had = [
            part for part in of_relation if part.value > 0 and _had(bundle, part.neighbour, item)
        ]
        text = _people(relation, len(had), _past(bundle.target))
        yield Because(text=text, share=_total(of_relation))


def _people(relation: str, count: int, past: str) -> str:
    one, many = (
        ("a user like you", "users like you") if relation == _SIMILAR else ("a friend", "friends")
    )
    if not count:
        return f"what {many} go for"
    return f"{one} {past} it" if count == 1 else f"{count} {many} {past} it"


def _values(bundle: "Bundle", parts: Sequence[Part]) -> Iterator[Because]:
    """What somebody is: one reason for each value."""
    for part in parts:
        if part.source.startswith("user:"):
            labels = bundle.labels.get(part.source, [])
            value = labels[part.neighbour] if part.neighbour < len(labels) else str(part.neighbour)
            column = _word(part.source.removeprefix("user:"))
            yield Because(text=f"because {column} is {value}", share=part.value)


def _in_common(bundle: "Bundle", item: int, others: Sequence[int]) -> str:
    """The rarest attribute value that an item shares with all others, in brackets; nothing where
    there is none.
    """
    attributes = bundle.attributes
    shared = set(attributes.values_of(item)).intersection(
        *(attributes.values_of(one) for one in others)
    )
    if not shared:
        return ""
    rarest = min(
        shared,
        key=lambda place: (int(np.diff(attributes.lists.indptr[place : place + 2])[0]), place),
    )
    column, value = attributes.named.row(rarest)
    return f" ({_word(column)}: {value})"


def _had(bundle: "Bundle", user: int, item: int) -> bool:
    matrix = bundle.seen[bundle.target]
    return bool((matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]] == item).any())


def _name(bundle: "Bundle", item: int) -> str:
    title = bundle.item_table[TITLE][item] if TITLE in bundle.item_table.columns else None
    return str(bundle.items.ids[item]) if title is None else str(title)


def _past(behavior: str) -> str:
    """A behaviour as a verb of the past: "buy" → "bought", "view" → "viewed", "rate" → "rated"."""
    known = _PAST.get(behavior)
    if known is not None:
        return known
    return behavior + ("d" if behavior.endswith("e") else "ed")


def _word(column: str) -> str:
    """A column as people read it, one of its values named: "genres" → "genre", "release_year" →
    "release year".
    """
    words = column.replace("_", " ")
    return words if words.endswith("ss") else words.removesuffix("s")


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _total(parts: Sequence[Part]) -> float:
    return sum(part.value for part in parts)
