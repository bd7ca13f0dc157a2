"""Golden requests: answers recorded when a bundle is written, replayed wherever it is loaded."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

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
    requests = _requests(bundle)
    return {"requests": [request | _answer(lookup, request) for request in requests]}


def replay(
    bundle: "Bundle", document: Mapping[str, Any], between: Callable[[], None] = no_pause
) -> None:
    """Ask again, with `between` after each. Raises DataError naming the first request that is
    answered otherwise.
    """
    lookup = Lookup(bundle)
    for request in document["requests"]:
        found = _answer(lookup, request)
        if not agree(request["items"], request["scores"], found["items"], found["scores"]):
            asked = {key: request[key] for key in ("user", "history", "k") if key in request}
            raise DataError(
                f"bundle {bundle.name} answers {asked} with {found['items'][:3]}…, not {request['items'][:3]}…",
                "It is damaged, or this machine computes otherwise: write it again with recsys index",
            )
        between()


def agree(
    ids: list[str], scores: list[float], other_ids: list[str], other_scores: list[float]
) -> bool:
    """Same scores by rank to the tolerance; ids may swap where their scores differ by less."""
    if len(ids) != len(other_ids) or not np.allclose(scores, other_scores, rtol=0, atol=TOLERANCE):
        return False
    return _placed(ids, scores, other_ids, other_scores) and _placed(
        other_ids, other_scores, ids, scores
    )


def _placed(
    ids: list[str], scores: list[float], other_ids: list[str], other_scores: list[float]
) -> bool:
    """Every id has about the same score in the other list, or about that of its end."""
    other = dict(zip(other_ids, other_scores, strict=True))
    return all(
        abs(other.get(one, other_scores[-1]) - score) <= TOLERANCE
        for one, score in zip(ids, scores, strict=True)
    )


def _requests(bundle: "Bundle") -> list[dict[str, Any]]:
    """Users spread over the whole range, in lists of changing length, until there are enough."""
    num_users = len(bundle.users)
    users = bundle.users.external(np.arange(_USERS) * num_users // _USERS)
    known = [{"user": user, "k": 5 + place % 20} for place, user in enumerate(users)]
    visitors = []
    for place, user in enumerate(np.arange(_HISTORIES) * num_users // _HISTORIES):
        items = _items_of(bundle, int(user))[: 1 + place % _HISTORY_ITEMS]
        visitors.append({"history": bundle.items.external(items), "k": 5 + place % 20})
    return known + visitors


def _items_of(bundle: "Bundle", user: int) -> np.ndarray:
    """Items of a user under the target behaviour, else the first item."""
    items = (
        bundle.seen[bundle.target][user].indices
        if bundle.target in bundle.seen
        else np.empty(0, np.int32)
    )
    return items if len(items) else np.zeros(1, np.int32)


def _answer(lookup: Lookup, request: Mapping[str, Any]) -> dict[str, Any]:
    if "user" in request:
        [answer] = lookup.recommend([request["user"]], request["k"])
    else:
        [answer] = lookup.recommend(histories=[request["history"]], k=request["k"])
    items = answer["items"]
    return {"items": [item["id"] for item in items], "scores": [item["score"] for item in items]}
