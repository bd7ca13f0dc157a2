"""What the service knows how to answer, independent of HTTP: every method works on one bundle from
start to end.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple, TypeVar, cast

from recsys.core.errors import RecsysError
from recsys.core.ids import IdMap
from recsys.lookup.options import ListOptions
from recsys.lookup.query import Query
from recsys.search.faiss_kernels import set_search_threads
from serving.batching import Batcher
from serving.documents import Answer, Answers, Explained
from serving.events import LiveEvents
from serving.metrics import Metrics
from serving.problems import Refused
from serving.state import Served, State

Result = TypeVar("Result")

_THREADS = 2
_SHORT_HISTORY = 50  # longer ones are answered alone, so that nobody waits for them


class Ask(NamedTuple):
    """One list that is asked for."""

    query: Query
    options: ListOptions


class Service:
    """Answers from the state's bundle, with live events folded in. threads: of FAISS, for each
    search.
    """

    def __init__(self, state: State, live: LiveEvents, metrics: Metrics, threads: int = 1) -> None:
        self.state = state
        self.live = live
        self.metrics = metrics
        self._together = ThreadPoolExecutor(1, "recommend", set_search_threads, (threads,))
        self._apart = ThreadPoolExecutor(_THREADS, "answer", set_search_threads, (threads,))
        self._batcher: Batcher[Ask, Answer] = Batcher(self._answer_batch, self._together)

    def close(self) -> None:
        """Wait for what is being computed."""
        self._together.shutdown()
        self._apart.shutdown()

    async def recommend_one(self, query: Query, options: ListOptions) -> Answer:
        """One list, answered together with others that are asked for at the same time."""
        if options.explain or len(query.history) > _SHORT_HISTORY:
            document = await self.recommend([query], options)
            return document["answers"][0]
        return await self._batcher.ask(Ask(query, options))

    async def recommend(self, queries: Sequence[Query], options: ListOptions) -> Answers:
        """Several lists, all from the same bundle."""

        def answer(served: Served) -> Answers:
            document = self._document(served, queries, options)
            self.metrics.observe(served, document["answers"])
            return document

        return await self.run(answer)

    async def recommend_by(
        self, find: Callable[[], Served], queries: Sequence[Query], options: ListOptions
    ) -> Answers:
        """Several lists from a bundle that is not the live one; no figure counts them."""
        return await self.run(lambda live: self._document(find(), queries, options))

    async def run(self, answer: Callable[[Served], Result]) -> Result:
        """Something else that a bundle answers, off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._apart, answer, self.state.current)

    async def explain(
        self, query: Query, item: str, parts: int, popularity: float = 0.0
    ) -> Explained:
        """Why an item has its score.

        Args:
            query: Who is asked about.
            item: Id.
            parts: How many parts are listed.
            popularity: The popularity boost of the list.

        Returns:
            The document.

        Raises:
            Refused: (404) The item is unknown.
            UsageError: Nothing is known of the user or visitor.
        """

        def answer(served: Served) -> Explained:
            require_item(served, item)
            self.live.refresh()
            with_news = self._with_news(served, query)
            document = served.lookup.explain_query(with_news, item, parts, popularity)
            return cast(Explained, {**document, "model_version": served.version})

        return await self.run(answer)

    def _document(self, served: Served, queries: Sequence[Query], options: ListOptions) -> Answers:
        self.live.refresh()
        answers = self._lists(served, queries, options)
        return {"answers": answers, "model_version": served.version}

    def _answer_batch(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        """A batch: one search for all queries with the same options."""
        served = self.state.current
        self.live.refresh()
        self.metrics.batch.observe(len(asks))
        groups: dict[ListOptions, list[int]] = defaultdict(list)
        for place, ask in enumerate(asks):
            groups[ask.options].append(place)
        by_place: dict[int, Answer | Exception] = {}
        for options, places in groups.items():
            queries = [asks[place].query for place in places]
            answers = self._answers_or_errors(served, queries, options)
            by_place.update(zip(places, answers, strict=True))
        given = [answer for answer in by_place.values() if not isinstance(answer, Exception)]
        self.metrics.observe(served, given)
        return [by_place[place] for place in range(len(asks))]

    def _answers_or_errors(
        self, served: Served, queries: Sequence[Query], options: ListOptions
    ) -> Sequence[Answer | Exception]:
        """The lists; where the queries cannot be answered together, every one gets its own list or
        error.
        """
        try:
            return self._lists(served, queries, options)
        except Exception as error:  # handed to the one who asked, who logs what is a bug
            if len(queries) == 1:
                return [error]
        answers: list[Answer | Exception] = []
        for query in queries:
            answers.extend(self._answers_or_errors(served, [query], options))
        return answers

    def _lists(
        self, served: Served, queries: Sequence[Query], options: ListOptions
    ) -> list[Answer]:
        with_news = [self._with_news(served, query) for query in queries]
        answers = served.lookup.answer(with_news, options, fallback="popularity")
        return [cast(Answer, {**answer, "model_version": served.version}) for answer in answers]

    def _with_news(self, served: Served, query: Query) -> Query:
        """A query with the live events of its user that the bundle has not learnt from, before those
        of the query.
        """
        user = None if query.user is None else str(query.user)
        live = self.live.of(user)
        if not live:
            return query
        return replace(query, history=(*served.news(user, live), *query.history))


def require_item(served: Served, item: str) -> None:
    """Raises Refused (404) naming close ids when the bundle does not know the item."""
    _require(served.bundle.items, item)


def require_user(served: Served, user: str) -> None:
    """Raises Refused (404) naming close ids when the bundle does not know the user."""
    _require(served.bundle.users, user)


def _require(ids: IdMap, external_id: str) -> None:
    try:
        ids.internal(external_id)
    except RecsysError as error:
        raise Refused(404, error.message, error.remedy) from None
