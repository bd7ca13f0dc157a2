"""Recommendations, similar items and users, and explanations out of a bundle, in the ids of the
log; numpy and FAISS only.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Unpack

import numpy as np

from recsys.bundle.attributes import Filters
from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float32Array, Float64Array, Int32Array
from recsys.core.artefacts import no_pause
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import NO_ITEM, Hits
from recsys.encode.fold_in import UserEncoder
from recsys.lookup.allowed import allowed_items, available_items
from recsys.lookup.answers import (
    Answer,
    Item,
    include_fields,
    item_lists,
    list_answer,
    similar_answer,
)
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
_LISTS_AT_ONCE = 64
_ITEMS_AT_ONCE = 2000  # of a block of lists: named in some milliseconds


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
        self,
        queries: Sequence[Query],
        options: ListOptions,
        fallback: Fallback = "refuse",
        between: Callable[[], None] = no_pause,
    ) -> list[Answer]:
        """The same for queries and options that were made before; `between` as in `answer_each`."""
        return list(self.answer_each(queries, options, fallback, between))

    def answer_each(
        self,
        queries: Sequence[Query],
        options: ListOptions,
        fallback: Fallback = "refuse",
        between: Callable[[], None] = no_pause,
    ) -> Iterator[Answer]:
        """The same, one answer after the other.

        between: called before every query, block of lists and item that is explained; what it
            raises ends the work.
        """
        behaviors = seen_behaviors(self.bundle, options.exclude_seen)
        requests = read_requests(
            self.bundle, self.encoder, queries, behaviors, fallback, between, options.moment
        )
        allowed = allowed_items(self.bundle, options)
        at_once = max(1, min(_LISTS_AT_ONCE, _ITEMS_AT_ONCE // options.end))
        for start in range(0, len(requests), at_once):
            between()
            block = requests[start : start + at_once]
            factors = None
            if options.popularity:
                factors = self._lists.boost_factors(block, options.popularity)
            hits = self._lists.search(block, options, allowed.items, factors, between)
            lists = item_lists(self.bundle, hits, offset=options.offset)
            if options.include:
                include_fields(self.bundle, list(chain.from_iterable(lists)), options.include)
            if options.explain:
                self._give_reasons(block, lists, hits, factors, between)
            for request, items in zip(block, lists, strict=True):
                yield list_answer(items, request, allowed, options.k)

    def similar_items(self, items: Sequence[object], k: int = 10) -> list[Answer]:
        """The available items most similar to each item, itself left out.

        As validation chose it (`bundle.similar_by`): by the cosine of their vectors, the source then
        being "model"; or what a visitor who has the item alone is recommended, by the same scores,
        the source being "fold_in". Raises UsageError when an item is unknown.
        """
        k = list_options(k=k).k
        internal_ids = internal_ids_of(self.bundle.items, items)
        if self.bundle.similar_by == "visitor":
            return self._lists_of_visitors(internal_ids, k)
        hits = self._similar_items.nearest(internal_ids, k, available_items(self.bundle))
        return [similar_answer(similar, k, "model") for similar in item_lists(self.bundle, hits)]

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
        moment: float | None = None,
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
            moment: When the list is asked for, as in `ListOptions`.

        Returns:
            The document.

        Raises:
            UsageError: The user or item is unknown.
        """
        query = Query(user, history or (), attributes or {}, friends)
        return self.explain_query(query, item, parts, popularity, moment)

    def explain_query(
        self,
        query: Query,
        item: object,
        parts: int | None = None,
        popularity: float = 0.0,
        moment: float | None = None,
    ) -> Explained:
        """The same for a query that was made before.

        Args:
            query: Who is asked about.
            item: Id.
            parts: How many parts are listed; all when None.
            popularity: The popularity boost of the list.
            moment: When the list is asked for, as in `ListOptions`.

        Returns:
            The document.
        """
        options = list_options(popularity=popularity, moment=moment)
        internal_id = self.bundle.items.internal(item)
        [request] = read_requests(
            self.bundle, self.encoder, [query], (), "refuse", moment=options.moment
        )
        factors = None
        if options.popularity:
            factors = self._lists.boost_factors([request], options.popularity)
        explainer = Explainer(self.bundle, self.encoder)
        [explained] = explainer.explain([request], [np.array([internal_id])], factors)
        return explained_document(self.bundle, explained.explanations, request, parts)

    def batch(
        self,
        users: Sequence[object] | None,
        k: int,
        out: Path,
        *,
        exclude_seen: bool | Sequence[str] = True,
        popularity: float = 0.0,
        progress: Progress = QUIET,
        stretch: tuple[int, int] | None = None,
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
            stretch: Of the users, the first and the one behind the last (`lookup.batch.divide`).

        Returns:
            Rows of the file.

        Raises:
            UsageError: None of the users is known. Of some who are not a warning tells; they get no
                rows.
        """
        options = list_options(k=k, exclude_seen=exclude_seen, popularity=popularity)
        boosted = None
        if options.popularity:
            bundle = self.bundle
            known = bundle.seen[bundle.target]
            boosted = BoostedScorer(
                bundle.scorer, options.popularity, bundle.counts, known, bundle.available
            )
        if users is None:
            internal_ids = np.arange(len(self.bundle.users), dtype=np.int32)
        else:
            internal_ids = known_ids_of(self.bundle.users, users)
        if stretch is not None:
            internal_ids = internal_ids[slice(*stretch)]
        behaviors = seen_behaviors(self.bundle, options.exclude_seen)
        return write_all(self.bundle, boosted, internal_ids, options.k, behaviors, out, progress)

    def _give_reasons(
        self,
        requests: Sequence[Request],
        lists: Sequence[list[Item]],
        hits: Hits,
        factors: Float64Array | None,
        between: Callable[[], None],
    ) -> None:
        """Give every item of some lists its reasons and parts.

        Args:
            requests: Who is asked about.
            lists: The items of each.
            hits: Their internal ids.
            factors: Of the popularity boost, by request.
            between: Called before every run of positions.
        """
        explainer = Explainer(self.bundle, self.encoder)
        internal_ids = [items[items != NO_ITEM] for items in hits.items]
        for row, start, explanations in explainer.explain(requests, internal_ids, factors, between):
            positions = range(len(explanations.items))
            reasons = reasons_of(self.bundle, explanations, requests[row])
            largest = [explanations.parts(position, _LISTED_PARTS) for position in positions]
            parts = part_documents(self.bundle, largest)
            for position in positions:
                item = lists[row][start + position]
                item["reasons"] = reasons[position]
                item["because"] = reasons[position]
                if requests[row].vector is not None:
                    item["parts"] = parts[position]

    def _lists_of_visitors(self, items: Int32Array, k: int) -> list[Answer]:
        """For a visitor with each of the items (internal ids) alone."""
        queries = [Query(history=[item]) for item in self.bundle.items.external(items)]
        under_target = (self.bundle.target,)
        requests = read_requests(self.bundle, self.encoder, queries, under_target, "refuse")
        available = available_items(self.bundle)
        hits = self._lists.search(requests, ListOptions(k=k), available, both_stages=False)
        return [similar_answer(similar, k, "fold_in") for similar in item_lists(self.bundle, hits)]

    @cached_property
    def _similar_items(self) -> CosineSearch:
        return CosineSearch(self.bundle.item_vectors)

    @cached_property
    def _similar_users(self) -> CosineSearch:
        return CosineSearch(self.bundle.user_vectors)
