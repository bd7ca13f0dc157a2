"""Answers in outside ids: plain documents that print as JSON."""

from itertools import count, pairwise
from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict

import numpy as np
import polars as pl

from recsys.core.arrays import IntArray
from recsys.core.ids import IdMap
from recsys.core.ranking import NO_ITEM, Hits
from recsys.core.tables import TITLE
from recsys.lookup.explain import Explanation, Part

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle

Source = Literal["model", "fold_in", "attributes", "social", "segment", "fallback"]
"""How an answer was found; the first of these that what is known of somebody allows.

model: the trained vector. fold_in: encoded just now from events, or a known user with news.
attributes, social: encoded from what a visitor is, or from their friends. segment: what users of
the same value of a column took. fallback: popularity, nothing is known.
"""


class Because(TypedDict):
    """One reason in words. share: what its neighbours, named or not, add to the score."""

    text: str
    share: float


class Item(TypedDict):
    """One place of a list of items, or of users. rank: from 1. because: reasons in words, when
    asked for.
    """

    id: str
    score: float
    rank: int
    title: NotRequired[str]
    because: NotRequired[list[Because]]


class Answer(TypedDict):
    """One list. unknown: ids of the request that the bundle does not know. note: present when the
    list is short.
    """

    items: list[Item]
    source: Source
    unknown: list[str]
    note: NotRequired[str]


class ExplainedPart(TypedDict):
    """What one neighbour adds to a score. relation: a behaviour or attribute; type: node type; id:
    item or value.
    """

    relation: str
    type: str
    id: str
    share: float
    title: NotRequired[str]


class Explained(TypedDict):
    """score = Σ shares + others + trend + popularity + rest. others: neighbours left out of
    `parts`. rest: own state.

    trend: for being taken of late, where that counts. popularity: the dial's share, when it is
    turned. because: the same in words, neighbours of a kind together.
    """

    item: str
    score: float
    parts: list[ExplainedPart]
    others: float
    rest: float
    source: Source
    unknown: list[str]
    trend: NotRequired[float]
    popularity: NotRequired[float]
    because: NotRequired[list[Because]]
    title: NotRequired[str]


def titles_of(bundle: "Bundle", dense: IntArray) -> list[str | None]:
    """Titles by dense item id; None where there is none."""
    if TITLE not in bundle.item_table.columns:
        return [None] * len(dense)
    return bundle.item_table[TITLE][np.asarray(dense, np.int64)].cast(pl.String).to_list()


def item_lists(
    bundle: "Bundle", hits: Hits, ids: IdMap | None = None, offset: int = 0
) -> list[list[Item]]:
    """Each row of `hits` as documents; padding is left out. ids: of items, with titles, when
    absent. offset: places before the first.
    """
    valid = hits.items != NO_ITEM
    dense = hits.items[valid]
    titles = titles_of(bundle, dense) if ids is None else [None] * len(dense)
    outside = (ids or bundle.items).external(dense)
    scores, ends = hits.scores[valid].tolist(), np.cumsum(valid.sum(axis=1)).tolist()
    return [
        [
            _item(*facts)
            for facts in zip(
                outside[a:b], scores[a:b], count(offset + 1), titles[a:b], strict=False
            )
        ]
        for a, b in pairwise([0, *ends])
    ]


def make_answer(items: list[Item], source: Source, unknown: list[str], k: int) -> Answer:
    answer: Answer = {"items": items, "source": source, "unknown": unknown}
    if len(items) < k:
        answer["note"] = f"{k} were asked for, {len(items)} may be recommended"
    return answer


def explained_document(
    bundle: "Bundle",
    item: int,
    found: Explanation,
    parts: int | None,
    source: Source,
    unknown: list[str],
) -> Explained:
    """parts: how many to show; all when None."""
    shown = found.parts[:parts]
    document: Explained = {
        "item": bundle.items.ids[item],
        "score": found.score,
        "parts": [_part(bundle, part) for part in shown],
        "others": sum(part.value for part in found.parts[len(shown) :]),
        "rest": found.rest,
        "source": source,
        "unknown": unknown,
    }
    if found.trend:
        document["trend"] = found.trend
    if found.dial:
        document["popularity"] = found.dial
    [title] = titles_of(bundle, np.array([item]))
    if title is not None:
        document["title"] = title
    return document


def _part(bundle: "Bundle", part: Part) -> ExplainedPart:
    is_item = part.source == "item"
    label = _label(bundle, part)
    # An item reaches its user through the reverse of "buy"; people read "buy".
    relation = part.relation.removeprefix("rev_")
    document: ExplainedPart = {
        "relation": relation,
        "type": part.source,
        "id": label,
        "share": part.value,
    }
    [title] = titles_of(bundle, np.array([part.neighbour])) if is_item else [None]
    if title is not None:
        document["title"] = title
    return document


def _label(bundle: "Bundle", part: Part) -> str:
    """Outside id of a user or item, value of an attribute node; the node's number when the bundle
    has no name for it.
    """
    ids = {"item": bundle.items.ids, "user": bundle.users.ids}
    if part.source in ids:
        return str(ids[part.source][part.neighbour])
    labels = bundle.labels.get(part.source, [])
    return labels[part.neighbour] if part.neighbour < len(labels) else str(part.neighbour)


def _item(outside: str, score: float, rank: int, title: str | None) -> Item:
    item: Item = {"id": outside, "score": score, "rank": rank}
    if title is not None:
        item["title"] = title
    return item
