"""Answers in external ids: plain documents that print as JSON."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
import polars as pl
from pydantic import Field
from typing_extensions import TypedDict

from recsys.bundle.bundle import Bundle
from recsys.core.errors import UsageError, nearest
from recsys.core.ids import IdMap
from recsys.core.ranking import NO_ITEM, Hits
from recsys.core.tables import ITEM_ID
from recsys.lookup.allowed import Allowed
from recsys.lookup.cold_start import Request, Source
from recsys.lookup.explanations.documents import PartDocument
from recsys.lookup.explanations.words import Reason
from recsys.lookup.labels import titles_of


class Item(TypedDict):
    """One place of a list of items, or of users.

    rank: from 1, counted over all pages.
    fields: values of the columns that were to be included; null where the item has none.
    reasons: in words, when explanations are asked for.
    parts: the largest shares of the score, then; absent where popularity made the list.
    because: old name of `reasons`, until 0.3.
    """

    id: str
    score: float
    rank: int
    title: NotRequired[str]
    fields: NotRequired[dict[str, Any]]
    reasons: NotRequired[list[Reason]]
    parts: NotRequired[list[PartDocument]]
    because: NotRequired[Annotated[list[Reason], Field(deprecated=True)]]


ScoreKind = Literal["relevance", "share_of_users", "cosine"]
"""What a score is: the model's sum, comparable within one list alone; the share of users who had the
item, from 0 to 1; the cosine of two vectors, from -1 to 1. Scores of different kinds say nothing about
each other.
"""


class Answer(TypedDict):
    """One list.

    source: step of the ladder of `cold_start`.
    score_kind: what its scores are; absent where it was refused.
    unknown: ids of the request that the bundle does not know.
    note: why the list is short or empty, when it is.
    code: of the error for which it was refused, when it was.
    """

    items: list[Item]
    source: Source
    score_kind: NotRequired[ScoreKind]
    unknown: list[str]
    note: NotRequired[str]
    code: NotRequired[str]


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


def include_fields(bundle: Bundle, items: Sequence[Item], columns: Sequence[str]) -> None:
    """Give items the values of some columns of the item table. Raises UsageError for one that there
    is not.
    """
    table = bundle.item_table
    for column in columns:
        if column not in table.columns:
            known = [name for name in table.columns if name != ITEM_ID]
            hint = nearest(column, known) or f"They have {known}"
            raise UsageError(
                f"include names {column!r}, which the items do not have",
                hint,
                code="unknown_attribute",
            )
    internal_ids = bundle.items.lookup([item["id"] for item in items])
    rows = table.select(columns)[pl.Series(internal_ids.astype(np.int64))].to_dicts()
    for item, row in zip(items, rows, strict=True):
        item["fields"] = {column: plain_field(value) for column, value in row.items()}


def plain_field(value: object) -> object:
    """A value of a table as JSON has it."""
    if value is None or isinstance(value, bool | int | str | list):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def list_answer(items: list[Item], request: Request, allowed: Allowed, k: int) -> Answer:
    """The answer to one request.

    Args:
        items: Of its list.
        request: Who is asked about.
        allowed: What the options said of ids and values that there are not.
        k: How many were asked for.

    Returns:
        The document.
    """
    unknown = list(dict.fromkeys([*request.unknown, *allowed.unknown]))
    answer: Answer = {"items": items, "source": request.source, "unknown": unknown}
    if request.refusal is not None:
        answer["note"] = str(request.refusal)
        answer["code"] = request.refusal.code
        return answer
    answer["score_kind"] = "share_of_users" if request.vector is None else "relevance"
    notes = [_short(k, items)] if len(items) < k else []
    notes += allowed.notes
    if notes:
        answer["note"] = ". ".join(notes)
    return answer


def similar_answer(items: list[Item], k: int, source: Source) -> Answer:
    """The answer to a question for similar items. source: "model" for cosines, else what a visitor
    with the item alone is recommended.
    """
    kind: ScoreKind = "cosine" if source == "model" else "relevance"
    answer: Answer = {"items": items, "source": source, "score_kind": kind, "unknown": []}
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
