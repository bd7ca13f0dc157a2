"""Golden requests: answers recorded when a bundle is written, replayed wherever it is loaded."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.core.arrays import Int32Array
from recsys.core.artefacts import no_pause
from recsys.core.errors import DataError
from recsys.lookup.lookup import Lookup

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle

TOLERANCE = 1e-4
_USERS, _HISTORIES, _HISTORY_ITEMS = 48, 16, 5


def record(bundle: "Bundle") -> dict[str, Any]:
    """At least 64 requests (known users, visitors with short histories) with the answers of
    `bundle`.
    """
    lookup = Lookup(bundle)
    requests = []
    for request in _requests(bundle):
        items, scores = _answer(lookup, request)
        requests.append({**request, "items": items, "scores": scores})
    return {"requests": requests}


def replay(
    bundle: "Bundle", document: Mapping[str, Any], between: Callable[[], None] = no_pause
) -> None:
    """Ask again, with `between` after each. Raises DataError naming the first request that is
    answered otherwise.
    """
    lookup = Lookup(bundle)
    for request in document["requests"]:
        items, scores = _answer(lookup, request)
        if not agree(request["items"], request["scores"], items, scores):
            asked_keys = [key for key in ("user", "history", "k") if key in request]
            question = {key: request[key] for key in asked_keys}
            raise DataError(
                f"bundle {bundle.name} answers {question} with {items[:3]}…, "
                f"not {request['items'][:3]}…",
                "It is damaged, or this machine computes otherwise: write it again with "
                "recsys index",
            )
        between()


def agree(
    ids: list[str], scores: list[float], other_ids: list[str], other_scores: list[float]
) -> bool:
    """Whether two lists are the same to the tolerance; ids may swap where scores differ by less.

    Args:
        ids: of one list.
        scores: of its items.
        other_ids: of the other list.
        other_scores: of its items.
    """
    if len(ids) != len(other_ids):
        return False
    if not np.allclose(scores, other_scores, rtol=0, atol=TOLERANCE):
        return False
    return _covers(ids, scores, other_ids, other_scores) and _covers(
        other_ids, other_scores, ids, scores
    )


def _covers(
    ids: list[str], scores: list[float], other_ids: list[str], other_scores: list[float]
) -> bool:
    """Every id has about the same score in the other list, or about that of its end."""
    # An item at the end of one list may be just beyond the end of the other, where it scores about
    # as much as the last item there.
    answer = dict(zip(other_ids, other_scores, strict=True))
    for item, score in zip(ids, scores, strict=True):
        other_score = answer.get(item, other_scores[-1])
        if abs(other_score - score) > TOLERANCE:
            return False
    return True


def _requests(bundle: "Bundle") -> list[dict[str, Any]]:
    """Users spread over the whole range, in lists of changing length, until there are enough."""
    num_users = len(bundle.users)
    # Evenly spaced rows rather than drawn ones: a bundle has the same requests wherever it is
    # written; a small one has users among them several times.
    rows = np.arange(_USERS) * num_users // _USERS
    requests: list[dict[str, Any]] = []
    for number, user in enumerate(bundle.users.external(rows)):
        requests.append({"user": user, "k": 5 + number % 20})
    rows = np.arange(_HISTORIES) * num_users // _HISTORIES
    for number, row in enumerate(rows.tolist()):
        items = _items_of(bundle, row)[: 1 + number % _HISTORY_ITEMS]
        requests.append({"history": bundle.items.external(items), "k": 5 + number % 20})
    return requests


def _items_of(bundle: "Bundle", user: int) -> Int32Array:
    """Items of a user under the target behaviour, else the first item."""
    first = np.zeros(1, np.int32)
    if bundle.target not in bundle.seen:
        return first
    items = bundle.seen[bundle.target][user].indices
    return items if len(items) else first


def _answer(lookup: Lookup, request: Mapping[str, Any]) -> tuple[list[str], list[float]]:
    """Ids and scores, best first."""
    if "user" in request:
        [answer] = lookup.recommend([request["user"]], request["k"])
    else:
        [answer] = lookup.recommend(histories=[request["history"]], k=request["k"])
    ids = [item["id"] for item in answer["items"]]
    scores = [item["score"] for item in answer["items"]]
    return ids, scores
