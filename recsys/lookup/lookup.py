"""Recommendations, likenesses and reasons out of a bundle, in the ids of the log; numpy and FAISS
only.
"""

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.bundle.attributes import Filters
from recsys.core.arrays import BoolArray, Float32Array, Int32Array
from recsys.core.errors import UsageError
from recsys.core.history import stacked
from recsys.core.ids import IdMap
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import Hits
from recsys.encode.fold_in import UserEncoder
from recsys.encode.history_scores import with_sparse_scores
from recsys.lookup.allowed import allowed_items
from recsys.lookup.answers import (
    Answer,
    Explained,
    Item,
    explained_document,
    item_lists,
    make_answer,
)
from recsys.lookup.batch import write_all
from recsys.lookup.options import Wanted, check_k
from recsys.lookup.reasons import because
from recsys.lookup.requests import (
    Asked,
    Fallback,
    Request,
    asked_about,
    read_requests,
    seen_behaviors,
)
from recsys.lookup.visits import Attributes, Event, Friends, History
from recsys.lookup.why import Why
from recsys.search.cosine import CosineSearch
from recsys.search.diversity import CANDIDATES, diversified
from recsys.search.exact import ExactIndex, excluded_lists, select
from recsys.search.planner import Planner
from recsys.search.popularity_boost import BoostedScorer, boosted_queries

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle

__all__ = ["Answer", "Attributes", "Event", "Explained", "Filters", "Friends", "History", "Lookup"]


class Lookup:
    """Everything an application asks of one bundle. Threads may share it: nothing changes after the
    start.
    """

    def __init__(self, bundle: "Bundle") -> None:
        self.bundle = bundle
        self.encoder = UserEncoder(bundle.encoder)
        self.planner = Planner(ExactIndex(bundle.search_vectors), bundle.index)

    def recommend(
        self,
        users: Sequence[object] | None = None,
        k: int = 10,
        *,
        histories: Sequence[History] | None = None,
        attributes: Sequence[Attributes] | None = None,
        friends: Sequence[Friends] | None = None,
        exclude_seen: bool | Sequence[str] = True,
        allow: Sequence[object] | None = None,
        deny: Sequence[object] | None = None,
        filters: Filters | None = None,
        popularity: float = 0.0,
        diversity: float = 0.0,
        offset: int = 0,
        reasons: bool = False,
        fallback: Fallback = "refuse",
    ) -> list[Answer]:
        """Lists for users, for visitors (histories, attributes, friends, or several), or for users
        with news (one each).

        attributes: values of the user columns that the graph was built with; those of a known user
        are replaced. friends: known users to whom the visitor is linked as in the graph's relations
        between users. exclude_seen: leave out what a user has seen under the bundle's seen
        behaviours (or those named), and the items of a history under these. allow, deny: item ids;
        withdrawn items never appear. filters: by column of the item table, the values of which an
        item must have one. popularity: times ln(1 + users of an item) is added to its score.
        diversity: from 0 to 1, how much a list avoids items like those before
        (`diversity.diversified`). offset: places of the list to skip. reasons: say of every item
        why (`reasons.because`). fallback: what an unknown user, or a history without any known
        item, gets: "refuse" raises UsageError with the nearest ids, "popularity" gives the most
        popular items and says so. A list is shorter than k only when fewer items are left, and has
        a note.
        """
        wanted = Wanted(k, popularity, diversity, offset)
        behaviors = seen_behaviors(self.bundle, exclude_seen)
        asked = asked_about(users, histories, attributes, friends)
        requests = read_requests(self.bundle, self.encoder, asked, behaviors, fallback)
        mask, strangers = allowed_items(self.bundle, allow, deny, filters)
        hits = self._hits(requests, wanted, mask)
        lists = item_lists(self.bundle, hits, offset=offset)
        if reasons:
            lists = [
                self._with_reasons(*one) for one in zip(requests, lists, hits.items, strict=True)
            ]
        return [
            make_answer(items, one.source, [*one.unknown, *strangers], k)
            for items, one in zip(lists, requests, strict=True)
        ]

    def similar_items(self, items: Sequence[object], k: int = 10) -> list[Answer]:
        """The available items nearest to each item by cosine, itself left out. Raises UsageError
        when unknown.
        """
        check_k(k)
        dense = _dense(self.bundle.items, items)
        hits = self._like_items.nearest(dense, k, allowed_items(self.bundle)[0])
        return [make_answer(found, "model", [], k) for found in item_lists(self.bundle, hits)]

    def similar_users(self, users: Sequence[object], k: int = 10) -> list[list[Item]]:
        """The users nearest to each user by cosine, itself left out. Raises UsageError when
        unknown.
        """
        check_k(k)
        hits = self._like_users.nearest(_dense(self.bundle.users, users), k)
        return item_lists(self.bundle, hits, ids=self.bundle.users)

    def fold_in(
        self, history: History, attributes: Attributes | None = None, friends: Friends = ()
    ) -> Float32Array:
        """(d,) vector of a visitor with these events, attributes and friends.

        Raises UsageError when nothing of it is known.
        """
        asked = Asked(None, history, attributes or {}, friends)
        [request] = read_requests(self.bundle, self.encoder, [asked], (), "refuse")
        return np.asarray(request.vector)

    def explain(
        self,
        user: object | None,
        item: object,
        *,
        history: History | None = None,
        attributes: Attributes | None = None,
        friends: Friends = (),
        parts: int | None = None,
        popularity: float = 0.0,
    ) -> Explained:
        """Why a score: one share per neighbour, largest first; with `parts`, the others are summed
        up.

        user, history, attributes, friends: as one entry of `recommend`; popularity: as there, its
        share is told apart. Raises UsageError for an unknown user or item.
        """
        wanted = Wanted(1, popularity)
        dense = self.bundle.items.internal(item)
        asked = Asked(None if user is None else str(user), history or (), attributes or {}, friends)
        [request] = read_requests(self.bundle, self.encoder, [asked], (), "refuse")
        found = Why(self.bundle, self.encoder, request, wanted.popularity).of(dense)
        document = explained_document(
            self.bundle, dense, found, parts, request.source, request.unknown
        )
        return {**document, "because": because(self.bundle, dense, found, request)}

    def batch(
        self,
        users: Sequence[object] | None,
        k: int,
        out: Path,
        *,
        exclude_seen: bool | Sequence[str] = True,
        popularity: float = 0.0,
        progress: Progress = QUIET,
    ) -> int:
        """Exact lists of these users (None: all) as one Parquet file, whole or absent; returns its
        rows.

        Columns user_id, item_id, score, rank (from 1), by user in the order asked, then rank.
        popularity: as in `recommend`. Memory is bounded by a block of users. Raises UsageError for
        an unknown user.
        """
        wanted, scorer = Wanted(k, popularity), self.bundle.scorer
        if wanted.popularity:
            scorer = BoostedScorer(scorer, popularity, self.bundle.counts)
        everybody = np.arange(len(self.bundle.users), dtype=np.int32)
        dense = everybody if users is None else _dense(self.bundle.users, users)
        return write_all(
            self.bundle, scorer, dense, k, seen_behaviors(self.bundle, exclude_seen), out, progress
        )

    def _with_reasons(self, request: Request, items: list[Item], dense: Int32Array) -> list[Item]:
        why = Why(self.bundle, self.encoder, request)
        said = (because(self.bundle, int(item), why.of(int(item)), request) for item in dense)
        return [{**item, "because": reasons} for item, reasons in zip(items, said, strict=False)]

    def _hits(self, requests: list[Request], wanted: Wanted, mask: BoolArray | None) -> Hits:
        """The page that is wanted of every list."""
        last = wanted.offset + wanted.k
        hits = self._search(
            requests, max(last, CANDIDATES) if wanted.diversity else last, mask, wanted.popularity
        )
        if wanted.diversity:
            hits = diversified(hits, self.bundle.item_vectors, wanted.diversity, last)
        return Hits(hits.items[:, wanted.offset :], hits.scores[:, wanted.offset :])

    def _search(self, requests: list[Request], k: int, mask: BoolArray | None, dial: float) -> Hits:
        """Lists of all requests, each by its vector or by popularity."""
        num_items = len(self.bundle.items)
        k = min(k, num_items)
        hits = Hits(
            np.empty((len(requests), k), np.int32), np.empty((len(requests), k), np.float32)
        )
        with_vector = [place for place, one in enumerate(requests) if one.vector is not None]
        without = [place for place, one in enumerate(requests) if one.vector is None]
        for places, find in (
            (with_vector, partial(self._by_vector, dial=dial)),
            (without, self._by_popularity),
        ):
            if places:
                found = find([requests[place] for place in places], k, mask)
                hits.items[places], hits.scores[places] = found.items, found.scores
        return hits

    def _by_vector(
        self, requests: list[Request], k: int, mask: BoolArray | None, dial: float
    ) -> Hits:
        planner = self._turned_planner if dial else self.planner
        queries = np.stack([np.asarray(one.vector) for one in requests])
        exclude = excluded_lists([one.excluded for one in requests], len(self.bundle.items))
        exclude = exclude if exclude.nnz else None
        if self.bundle.added is None:
            return planner.search(self._at_dial(queries, dial), k, exclude, mask)
        past = stacked([one.past for one in requests if one.past is not None])
        queries = self._at_dial(np.hstack([queries, self.bundle.added.queries(past.items)]), dial)
        hits = planner.search(queries, k, exclude, mask)
        added = self.bundle.added.sparse_scores(past)
        return with_sparse_scores(hits, queries, planner.exact.item_vectors, added, exclude, mask)

    def _at_dial(self, queries: Float32Array, dial: float) -> Float32Array:
        """Raises UsageError for a dial that the vectors of the bundle do not have."""
        if not dial:
            return queries
        if self.bundle.dial_unit is None:
            raise UsageError(
                "this bundle was written before there was a popularity dial",
                "Write it with recsys index",
            )
        return boosted_queries(queries, dial, self.bundle.dial_unit)

    def _by_popularity(self, requests: list[Request], k: int, mask: BoolArray | None) -> Hits:
        """Share of users, or of those of a segment, who had each item under the target behaviour."""
        scores = np.stack([self.bundle.shares(one.segment) for one in requests])
        if mask is not None:
            scores[:, ~mask] = -np.inf
        for row, one in enumerate(requests):
            scores[row, one.excluded] = -np.inf
        return select(scores, k)

    @cached_property
    def _turned_planner(self) -> Planner:
        return Planner(ExactIndex(self.bundle.dial_vectors), self.bundle.turned)

    @cached_property
    def _like_items(self) -> CosineSearch:
        return CosineSearch(self.bundle.item_vectors)

    @cached_property
    def _like_users(self) -> CosineSearch:
        return CosineSearch(self.bundle.user_vectors)


def _dense(ids: IdMap, outside: Sequence[object]) -> Int32Array:
    return np.array([ids.internal(one) for one in outside], np.int32)
