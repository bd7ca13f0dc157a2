"""Explanations as plain documents in external ids."""

from collections.abc import Mapping, Sequence
from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from recsys.bundle.bundle import Bundle
from recsys.core.tables import ITEM
from recsys.lookup.cold_start import Request, Source
from recsys.lookup.explanations.parts import Explanations, Part
from recsys.lookup.explanations.words import Reason, reasons_of
from recsys.lookup.labels import NamedItem, names_of, node_label, title_of


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
    """Why an item has its score: score = Σ shares of parts + others + trend + popularity + second_stage
    + rest.

    others: neighbours left out of `parts`.
    rest: the user's own state and biases.
    source: step of the ladder of `cold_start`.
    unknown: ids of the query that the bundle does not know.
    trend: what a trending item gains, where that counts.
    popularity: what it gains for being popular, by the score or by the popularity boost.
    second_stage: what trees add to it as a candidate, where the bundle has them.
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
    second_stage: NotRequired[float]
    reasons: list[Reason]
    because: Annotated[list[Reason], Field(deprecated=True)]
    title: NotRequired[str]


def explained_document(
    bundle: Bundle,
    explanations: Explanations,
    request: Request,
    num_parts: int | None = None,
) -> Explained:
    """The explanation of one score.

    Args:
        bundle: That answers.
        explanations: Of the one item.
        request: Who is asked about.
        num_parts: How many parts are listed; all when None.

    Returns:
        The document.
    """
    [item] = explanations.items.tolist()
    [reasons] = reasons_of(bundle, explanations, request)
    parts = explanations.parts(0)
    listed = parts[:num_parts]
    others = parts[len(listed) :]
    document: Explained = {
        "item": bundle.items.ids[item],
        "score": float(explanations.scores[0]),
        "parts": part_documents(bundle, [listed])[0],
        "others": sum(contribution.value for contribution in others),
        "rest": float(explanations.rest[0]),
        "source": request.source,
        "unknown": request.unknown,
        "reasons": reasons,
        "because": reasons,
    }
    trend, popularity = float(explanations.trend[0]), float(explanations.popularity[0])
    if trend:
        document["trend"] = trend
    if popularity:
        document["popularity"] = popularity
    if explanations.second_stage:
        document["second_stage"] = sum(
            float(values[0]) for values in explanations.second_stage.values()
        )
    title = title_of(bundle, item)
    if title is not None:
        document["title"] = title
    return document


def part_documents(bundle: Bundle, lists: Sequence[Sequence[Part]]) -> list[list[PartDocument]]:
    """Parts of several scores in external ids, with titles of items."""
    items: list[int] = []
    for parts in lists:
        items.extend(
            contribution.neighbour for contribution in parts if contribution.source == ITEM
        )
    names = names_of(bundle, items)
    documents = []
    for parts in lists:
        documents.append([_part(bundle, contribution, names) for contribution in parts])
    return documents


def _part(bundle: Bundle, contribution: Part, names: Mapping[int, NamedItem]) -> PartDocument:
    # An item reaches its user through the reverse of "buy"; people read "buy".
    relation = contribution.relation.removeprefix("rev_")
    if contribution.source == ITEM:
        name = names[contribution.neighbour]
    else:
        name = {"id": node_label(bundle, contribution.source, contribution.neighbour)}
    return {"relation": relation, "type": contribution.source, **name, "share": contribution.value}
