"""Explanations as plain documents in external ids."""

from collections.abc import Sequence
from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from recsys.bundle.bundle import Bundle
from recsys.lookup.cold_start import Request, Source
from recsys.lookup.explanations.parts import Explanation, Part
from recsys.lookup.explanations.words import Reason, reasons_of
from recsys.lookup.labels import node_label, titles_of


class PartDocument(TypedDict):
    """What one neighbour adds to a score.

    relation: a behaviour, or a column of attributes.
    type: node type of the neighbour.
    id: of the item or user, or the value of the attribute.
    share: what it adds.
    """

    relation: str
    type: str
    id: str
    share: float
    title: NotRequired[str]


class Explained(TypedDict):
    """Why an item has its score: score = Σ shares of parts + others + trend + popularity + rest.

    others: neighbours left out of `parts`.
    rest: the user's own state and biases.
    source: step of the ladder of `cold_start`.
    unknown: ids of the query that the bundle does not know.
    trend: what a trending item gains, where that counts.
    popularity: what it gains for being popular, by the score or by the popularity boost.
    reasons: the same in words, neighbours of a kind together.
    because: old name of `reasons`, until 0.3.
    """

    item: str
    score: float
    parts: list[PartDocument]
    others: float
    rest: float
    source: Source
    unknown: list[str]
    trend: NotRequired[float]
    popularity: NotRequired[float]
    reasons: list[Reason]
    because: Annotated[list[Reason], Field(deprecated=True)]
    title: NotRequired[str]


def explained_document(
    bundle: Bundle,
    item: int,
    explanation: Explanation,
    request: Request,
    num_parts: int | None = None,
) -> Explained:
    """The explanation of one score.

    Args:
        bundle: That answers.
        item: Internal id of the item.
        explanation: Of its score.
        request: Who is asked about.
        num_parts: How many parts are listed; all when None.

    Returns:
        The document.
    """
    listed = explanation.parts[:num_parts]
    others = explanation.parts[len(listed) :]
    reasons = reasons_of(bundle, item, explanation, request)
    document: Explained = {
        "item": bundle.items.ids[item],
        "score": explanation.score,
        "parts": part_documents(bundle, listed),
        "others": sum(contribution.value for contribution in others),
        "rest": explanation.rest,
        "source": request.source,
        "unknown": request.unknown,
        "reasons": reasons,
        "because": reasons,
    }
    if explanation.trend:
        document["trend"] = explanation.trend
    if explanation.popularity:
        document["popularity"] = explanation.popularity
    [title] = titles_of(bundle, [item])
    if title is not None:
        document["title"] = title
    return document


def part_documents(bundle: Bundle, parts: Sequence[Part]) -> list[PartDocument]:
    """Parts in external ids, with titles of items."""
    return [_part(bundle, contribution) for contribution in parts]


def _part(bundle: Bundle, contribution: Part) -> PartDocument:
    document: PartDocument = {
        # An item reaches its user through the reverse of "buy"; people read "buy".
        "relation": contribution.relation.removeprefix("rev_"),
        "type": contribution.source,
        "id": node_label(bundle, contribution.source, contribution.neighbour),
        "share": contribution.value,
    }
    if contribution.source == "item":
        [title] = titles_of(bundle, [contribution.neighbour])
        if title is not None:
            document["title"] = title
    return document
