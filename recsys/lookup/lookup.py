"""Recommendations, similar items and users, and explanations out of a bundle, in the ids of the
log; numpy and FAISS only.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from recsys.bundle.attributes import Filters
from recsys.bundle.bundle import Bundle
from recsys.core.arrays import BoolArray, Float32Array, Int32Array
from recsys.core.errors import UsageError
from recsys.core.history import stacked
from recsys.core.ids import IdMap
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import NO_ITEM, Hits
from recsys.encode.fold_in import UserEncoder
from recsys.encode.history_scores import with_sparse_scores
from recsys.lookup.allowed import allowed_items, available_items
from recsys.lookup.answers import Answer, Item, item_lists, list_answer, similar_answer
from recsys.lookup.batch import write_all
from recsys.lookup.cold_start import Fallback, Request, read_requests, seen_behaviors
from recsys.lookup.explanations.documents import Explained, explained_document, part_documents
from recsys.lookup.explanations.explainer import Explainer
from recsys.lookup.explanations.words import reasons_of
from recsys.lookup.histories import Event, History
from recsys.lookup.options import ListKeywords, ListOptions, list_options
from recsys.lookup.query import Query, queries_of
from recsys.lookup.visits import Attributes, Friends
from recsys.search.cosine import CosineSearch
from recsys.search.diversity import CANDIDATES, diversified
from recsys.search.exact import ExactIndex, excluded_lists, select
from recsys.search.planner import Planner
from recsys.search.popularity_boost import BoostedScorer, boosted_queries

__all__ = [
    "Answer",
    "Attributes",
    "Event",
    "Explained",
    "Filters",
    "Friends",
    "History",
    "ListOptions",
    "Lookup",
    "Query",
]

_LISTED_PARTS = 3  # of each item of a list


class Lookup:
    """Everything an application asks of one bundle. Threads may share it: nothing changes after the
    start.
    """

    def __init__(self, bundle: Bundle) -> None:
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
        fallback: Fallback = "refuse",
        **options: Unpack[ListKeywords],
    ) -> list[Answer]:
        """Lists for users, for visitors (histories, attributes, friends, or several), or for users
        with news (one each).

        Args:
            users: Ids; None at a place stands for a visitor.
            k: Length of the lists. A list is shorter only when fewer items are left, and has a
                note.
            histories: Items or events of each.
            attributes: Of each, values of the user columns that the graph was built with.
            friends: Of each, ids of known users.
            fallback: What an unknown user, or a history without any known item, gets: "refuse"
                raises UsageError with the nearest ids, "popularity" gives the most popular items
                and says so. Among others who are known, who is refused has an empty list and a
                note.
            options: Fields of `ListOptions`.

        Returns:
            One answer each.

        Raises:
            UsageError: Nobody or only unknown users are asked about, or a value cannot be.
        """
        queries = queries_of(users, histories, attributes, friends)
        return self.answer(queries, list_options(k=k, **options), fallback)

    def answer(
        self, queries: Sequence[Query], options: ListOptions, fallback: Fallback = "refuse"
    ) -> list[Answer]:
        """The same for queries and options that were made before."""
        behaviors = seen_behaviors(self.bundle, options.exclude_seen)
        requests = read_requests(self.bundle, self.encoder, queries, behaviors, fallback)
        allowed, unknown_items = allowed_items(self.bundle, options)
        hits = self._hits(requests, options, allowed)
        lists = item_lists(self.bundle, hits, offset=options.offset)
        answers = []
        for row, (request, items) in enumerate(zip(requests, lists, strict=True)):
            if options.explain:
                self._explain_list(request, items, hits.items[row], options.popularity)
            answers.append(list_answer(items, request, unknown_items, options.k))
        return answers

    def similar_items(self, items: Sequence[object], k: int = 10) -> list[Answer]:
        """The available items nearest to each item by cosine, itself left out. Raises UsageError
        when unknown.
        """
        k = list_options(k=k).k
        internal_ids = _internal_ids(self.bundle.items, items)
        hits = self._similar_items.nearest(internal_ids, k, available_items(self.bundle))
        return [similar_answer(similar, k) for similar in item_lists(self.bundle, hits)]

    def similar_users(self, users: Sequence[object], k: int = 10) -> list[list[Item]]:
        """The users nearest to each user by cosine, itself left out. Raises UsageError when
        unknown.
        """
        k = list_options(k=k).k
        internal_ids = _internal_ids(self.bundle.users, users)
        hits = self._similar_users.nearest(internal_ids, k)
        return item_lists(self.bundle, hits, ids=self.bundle.users)

    def fold_in(
        self, history: History, attributes: Attributes | None = None, friends: Friends = ()
    ) -> Float32Array:
        """(d,) vector of a visitor with these events, attributes and friends.

        Raises UsageError when nothing of it is known.
        """
        query = Query(None, history, attributes or {}, friends)
        [request] = read_requests(self.bundle, self.encoder, [query], (), "refuse")
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
        """Why a score: one share per neighbour, largest first, and the same in words.

        Args:
            user: Id; None for a visitor.
            item: Id.
            history: Items or events of the visitor, or new ones of the user.
            attributes: Of the visitor, or in place of the user's.
            friends: Known users.
            parts: How many parts are listed, the others being summed up; all when None.
            popularity: The popularity boost of the list; its share is told apart.

        Returns:
            The document.

        Raises:
            UsageError: The user or item is unknown.
        """
        query = Query(user, history or (), attributes or {}, friends)
        return self.explain_query(query, item, parts, popularity)

    def explain_query(
        self, query: Query, item: object, parts: int | None = None, popularity: float = 0.0
    ) -> Explained:
        """The same for a query that was made before.

        Args:
            query: Who is asked about.
            item: Id.
            parts: How many parts are listed; all when None.
            popularity: The popularity boost of the list.

        Returns:
            The document.
        """
        options = list_options(popularity=popularity)
        internal_id = self.bundle.items.internal(item)
        [request] = read_requests(self.bundle, self.encoder, [query], (), "refuse")
        explainer = Explainer(self.bundle, self.encoder, request, options.popularity)
        explanation = explainer.explain(internal_id)
        return explained_document(self.bundle, internal_id, explanation, request, parts)

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
        """Exact lists of these users as one Parquet file, whole or absent.

        Columns user_id, item_id, score, rank (from 1), by user in the order asked, then rank.
        Memory is bounded by a block of users.

        Args:
            users: Ids; everybody when None.
            k: Length of the lists.
            out: The file.
            exclude_seen: As in `ListOptions`.
            popularity: As in `ListOptions`.
            progress: Told of every block.

        Returns:
            Rows of the file.

        Raises:
            UsageError: A user is unknown.
        """
        options = list_options(k=k, exclude_seen=exclude_seen, popularity=popularity)
        scorer: Any = self.bundle.scorer
        if options.popularity:
            scorer = BoostedScorer(scorer, options.popularity, self.bundle.counts)
        if users is None:
            internal_ids = np.arange(len(self.bundle.users), dtype=np.int32)
        else:
            internal_ids = _internal_ids(self.bundle.users, users)
        behaviors = seen_behaviors(self.bundle, options.exclude_seen)
        return write_all(self.bundle, scorer, internal_ids, options.k, behaviors, out, progress)

    def _explain_list(
        self, request: Request, items: list[Item], internal_ids: Int32Array, popularity: float
    ) -> None:
        """Give every item of one list its reasons and parts; the user is encoded once."""
        explainer = Explainer(self.bundle, self.encoder, request, popularity)
        for item, internal_id in zip(items, internal_ids.tolist(), strict=False):
            explanation = explainer.explain(internal_id)
            reasons = reasons_of(self.bundle, internal_id, explanation, request)
            item["reasons"] = reasons
            item["because"] = reasons
            if request.vector is not None:
                item["parts"] = part_documents(self.bundle, explanation.parts[:_LISTED_PARTS])

    def _hits(
        self, requests: Sequence[Request], options: ListOptions, allowed: BoolArray | None
    ) -> Hits:
        """The page that is asked for of every list."""
        k = options.end
        if options.diversity:
            k = max(k, CANDIDATES)
        hits = self._search(requests, k, allowed, options.popularity)
        if options.diversity:
            hits = diversified(hits, self.bundle.item_vectors, options.diversity, options.end)
        return Hits(hits.items[:, options.offset :], hits.scores[:, options.offset :])

    def _search(
        self,
        requests: Sequence[Request],
        k: int,
        allowed: BoolArray | None,
        popularity: float,
    ) -> Hits:
        """Lists of all requests, each by its vector or by popularity; empty for the refused."""
        k = min(k, len(self.bundle.items))
        shape = (len(requests), k)
        hits = Hits(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))
        with_vector = []
        without_vector = []
        for row, request in enumerate(requests):
            if request.vector is not None:
                with_vector.append(row)
            elif request.refusal is None:
                without_vector.append(row)
        if with_vector:
            rows = [requests[row] for row in with_vector]
            by_vector = self._by_vector(rows, k, allowed, popularity)
            hits.items[with_vector], hits.scores[with_vector] = by_vector
        if without_vector:
            rows = [requests[row] for row in without_vector]
            popular = self._by_popularity(rows, k, allowed)
            hits.items[without_vector], hits.scores[without_vector] = popular
        return hits

    def _by_vector(
        self, requests: Sequence[Request], k: int, allowed: BoolArray | None, popularity: float
    ) -> Hits:
        planner = self._boosted_planner if popularity else self.planner
        queries = np.stack([np.asarray(request.vector) for request in requests])
        lists = [request.excluded for request in requests]
        excluded = excluded_lists(lists, len(self.bundle.items))
        if not excluded.nnz:
            excluded = None
        history_scores = self.bundle.added
        if history_scores is None:
            return planner.search(self._boosted(queries, popularity), k, excluded, allowed)
        # Low-pass and trend are inner products too, beside those of the trained vectors ...
        past = stacked([request.past for request in requests if request.past is not None])
        queries = np.hstack([queries, history_scores.queries(past.items)])
        queries = self._boosted(queries, popularity)
        hits = planner.search(queries, k, excluded, allowed)
        # ... and what the item–item table adds to some items is none: it is added to the nearest.
        added = history_scores.sparse_scores(past)
        return with_sparse_scores(
            hits, queries, planner.exact.item_vectors, added, excluded, allowed
        )

    def _boosted(self, queries: Float32Array, popularity: float) -> Float32Array:
        """Queries with a popularity boost. Raises UsageError where the bundle has no vectors for
        it.
        """
        if not popularity:
            return queries
        if self.bundle.boost_unit is None:
            raise UsageError(
                "this bundle was written before there was a popularity boost",
                "Write it with recsys index",
            )
        return boosted_queries(queries, popularity, self.bundle.boost_unit)

    def _by_popularity(
        self, requests: Sequence[Request], k: int, allowed: BoolArray | None
    ) -> Hits:
        """Share of users, or of those of a segment, who had each item under the target behaviour."""
        scores = np.stack([self.bundle.shares(request.segment) for request in requests])
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        for row, request in enumerate(requests):
            scores[row, request.excluded] = -np.inf
        return select(scores, k)

    @cached_property
    def _boosted_planner(self) -> Planner:
        return Planner(ExactIndex(self.bundle.boosted_vectors), self.bundle.boosted_index)

    @cached_property
    def _similar_items(self) -> CosineSearch:
        return CosineSearch(self.bundle.item_vectors)

    @cached_property
    def _similar_users(self) -> CosineSearch:
        return CosineSearch(self.bundle.user_vectors)


def _internal_ids(ids: IdMap, external_ids: Sequence[object]) -> Int32Array:
    """Raises UsageError for an unknown id."""
    return np.array([ids.internal(external_id) for external_id in external_ids], np.int32)
