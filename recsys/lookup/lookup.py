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
from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.progress import QUIET, Progress
from recsys.encode.fold_in import UserEncoder
from recsys.lookup.allowed import allowed_items, available_items
from recsys.lookup.answers import Answer, Item, item_lists, list_answer, similar_answer
from recsys.lookup.batch import write_all
from recsys.lookup.cold_start import Fallback, Request, read_requests, seen_behaviors
from recsys.lookup.explanations.documents import Explained, explained_document, part_documents
from recsys.lookup.explanations.explainer import Explainer
from recsys.lookup.explanations.words import reasons_of
from recsys.lookup.histories import Event, History
from recsys.lookup.known_ids import internal_ids_of, known_ids_of
from recsys.lookup.list_search import ListSearch
from recsys.lookup.options import ListKeywords, ListOptions, list_options
from recsys.lookup.query import Query, queries_of
from recsys.lookup.visits import Attributes, Friends
from recsys.search.cosine import CosineSearch
from recsys.search.popularity_boost import BoostedScorer

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
        self._lists = ListSearch(bundle)

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
        hits = self._lists.search(requests, options, allowed)
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
        internal_ids = internal_ids_of(self.bundle.items, items)
        hits = self._similar_items.nearest(internal_ids, k, available_items(self.bundle))
        return [similar_answer(similar, k) for similar in item_lists(self.bundle, hits)]

    def similar_users(self, users: Sequence[object], k: int = 10) -> list[list[Item]]:
        """The users nearest to each user by cosine, itself left out. Raises UsageError when
        unknown.
        """
        k = list_options(k=k).k
        internal_ids = internal_ids_of(self.bundle.users, users)
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
            UsageError: None of the users is known. Of some who are not a warning tells; they get no
                rows.
        """
        options = list_options(k=k, exclude_seen=exclude_seen, popularity=popularity)
        scorer: Any = self.bundle.scorer
        if options.popularity:
            scorer = BoostedScorer(scorer, options.popularity, self.bundle.counts)
        if users is None:
            internal_ids = np.arange(len(self.bundle.users), dtype=np.int32)
        else:
            internal_ids = known_ids_of(self.bundle.users, users)
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

    @cached_property
    def _similar_items(self) -> CosineSearch:
        return CosineSearch(self.bundle.item_vectors)

    @cached_property
    def _similar_users(self) -> CosineSearch:
        return CosineSearch(self.bundle.user_vectors)
