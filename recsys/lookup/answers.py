"""Answers in external ids: plain documents that print as JSON."""

from itertools import pairwise
from typing import Annotated, NotRequired

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from recsys.bundle.bundle import Bundle
from recsys.core.ids import IdMap
from recsys.core.ranking import NO_ITEM, Hits
from recsys.lookup.cold_start import Request, Source
from recsys.lookup.explanations.documents import PartDocument
from recsys.lookup.explanations.words import Reason
from recsys.lookup.labels import titles_of


class Item(TypedDict):
    """One place of a list of items, or of users.

    rank: from 1, counted over all pages.
    reasons: in words, when explanations are asked for.
    parts: the largest shares of the score, then; absent where popularity made the list.
    because: old name of `reasons`, until 0.3.
    """

    id: str
    score: float
    rank: int
    title: NotRequired[str]
    reasons: NotRequired[list[Reason]]
    parts: NotRequired[list[PartDocument]]
    because: NotRequired[Annotated[list[Reason], Field(deprecated=True)]]


class Answer(TypedDict):
    """One list.

    source: step of the ladder of `cold_start`.
    unknown: ids of the request that the bundle does not know.
    note: why the list is short or empty, when it is.
    """

    items: list[Item]
    source: Source
    unknown: list[str]
    note: NotRequired[str]


def item_lists(
    bundle: Bundle, hits: Hits, ids: IdMap | None = None, offset: int = 0
) -> list[list[Item]]:
    """Hits as documents.

    Args:
        bundle: Where titles are.
        hits: (lists, k) internal ids and scores; padding is left out.
        ids: Whose internal ids they are; those of the items, with titles, when None.
        offset: Places before the first.

    Returns:
        One list for each row of the hits.
    """
    valid = hits.items != NO_ITEM
    internal_ids = hits.items[valid]
    scores = hits.scores[valid].tolist()
    titles: list[str | None] = [None] * len(internal_ids)
    if ids is None:
        ids = bundle.items
        titles = titles_of(bundle, internal_ids)
    external_ids = ids.external(internal_ids)
    ends = np.cumsum(valid.sum(axis=1)).tolist()
    lists = []
    for start, stop in pairwise([0, *ends]):
        items: list[Item] = []
        for index in range(start, stop):
            rank = offset + 1 + index - start
            items.append(_item(external_ids[index], scores[index], rank, titles[index]))
        lists.append(items)
    return lists


def list_answer(items: list[Item], request: Request, unknown_items: list[str], k: int) -> Answer:
    """The answer to one request.

    Args:
        items: Of its list.
        request: Who is asked about.
        unknown_items: Unknown ids of the options, beside those of the request.
        k: How many were asked for.

    Returns:
        The document.
    """
    unknown = [*request.unknown, *unknown_items]
    answer: Answer = {"items": items, "source": request.source, "unknown": unknown}
    if request.refusal is not None:
        answer["note"] = str(request.refusal)
    elif len(items) < k:
        answer["note"] = _short(k, items)
    return answer


def similar_answer(items: list[Item], k: int) -> Answer:
    """The answer to a question for similar items."""
    answer: Answer = {"items": items, "source": "model", "unknown": []}
    if len(items) < k:
        answer["note"] = _short(k, items)
    return answer


def _short(k: int, items: list[Item]) -> str:
    return f"{k} were asked for, {len(items)} may be recommended"


def _item(external_id: str, score: float, rank: int, title: str | None) -> Item:
    item: Item = {"id": external_id, "score": score, "rank": rank}
    if title is not None:
        item["title"] = title
    return item
