"""What the service knows how to answer, independent of HTTP: every method works on one bundle from
start to end.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar, cast

import orjson

from recsys.core.artefacts import no_pause
from recsys.core.errors import RecsysError
from recsys.core.ids import IdMap
from recsys.lookup import answers as lists
from recsys.lookup.options import ListOptions
from recsys.lookup.query import Query
from recsys.search.faiss_kernels import set_search_threads
from serving.batching import Batcher
from serving.caller import Caller
from serving.dear import DearLane, Others, Work
from serving.documents import Answer, Answers, Explained
from serving.live_events import LiveEvents
from serving.metrics import Metrics
from serving.price import require_affordable
from serving.problems import Refused
from serving.spans import Spans
from serving.state import Served, State
from serving.trials import Plan, Trials, outside_experiments

Result = TypeVar("Result")

NOBODY = Caller()
_THREADS = 2
_WRITTEN_AT_ONCE = 50  # items of a list


class Ask(NamedTuple):
    """One list that is asked for."""

    query: Query
    options: ListOptions


class Why(NamedTuple):
    """An explanation that is asked for. item: its id. parts: how many are listed. popularity and moment:
    those of the list.
    """

    query: Query
    item: str
    parts: int = 10
    popularity: float = 0.0
    moment: float | None = None


class Service:
    """Answers from the state's bundle, with live events folded in. threads: of FAISS, for each
    search.

    Plain lists are answered together in one thread, lists with reasons together in another, other
    quick questions in two more, and what is dear (`serving.dear`) one after the other in a fifth: so
    nobody waits behind it.
    """

    def __init__(
        self,
        state: State,
        live: LiveEvents,
        metrics: Metrics,
        trials: Trials,
        threads: int = 1,
        spans: Spans | None = None,
    ) -> None:
        self.state = state
        self.live = live
        self.metrics = metrics
        self._spans = spans or Spans()
        self.trials = trials
        self._together = ThreadPoolExecutor(1, "recommend", set_search_threads, (threads,))
        self._apart = ThreadPoolExecutor(_THREADS, "answer", set_search_threads, (threads,))
        self._explaining = ThreadPoolExecutor(1, "explain", set_search_threads, (1,))
        self._batcher: Batcher[Ask, Answer] = Batcher(
            self._answer_batch, self._together, self._spans
        )
        self._explained: Batcher[Ask, Answer] = Batcher(
            self._answer_batch, self._explaining, self._spans
        )
        self._others = Others()
        self.dear = DearLane(self._others)

    def close(self) -> None:
        """End what is dear, wait for the rest."""
        self.dear.close()
        for executor in (self._together, self._explaining, self._apart):
            executor.shutdown(cancel_futures=True)

    def beside_others(self) -> Work:
        """To be called between the steps of what takes long, which others go before."""
        return Work(self._others)

    def num_waiting(self) -> dict[str, int]:
        """Of each kind of list, the requests that wait."""
        return {"lists": len(self._batcher), "reasons": len(self._explained)}

    async def recommend_one(
        self, query: Query, options: ListOptions, caller: Caller = NOBODY
    ) -> Answers:
        """One list, answered together with others that are asked for at the same time.

        Raises as `recommend` does.
        """
        prices = self.state.current.prices
        price = prices.lists([query], options)
        if price > prices.dear:
            return await self.recommend([query], options, caller)
        caller.spend(price / prices.plain_list)
        # Reasons take longer than lists: in a batch of their own, no plain list waits for them.
        batcher = self._explained if options.explain else self._batcher
        with self._others.one():
            answer = await batcher.ask(Ask(query, options))
        return {"answers": [answer], "model_version": answer["model_version"]}

    async def recommend(
        self,
        queries: Sequence[Query],
        options: ListOptions,
        caller: Caller = NOBODY,
        find: Callable[[], Served] | None = None,
    ) -> Answers:
        """Several lists, all from the same bundle.

        Args:
            queries: A list is for each.
            options: Of all lists.
            caller: Who waits for them.
            find: Gives a bundle that is not the live one, which may have to be loaded; its lists belong
                to no experiment, and no figure counts them.

        Returns:
            The lists, in the order of the queries.

        Raises:
            UsageError: They would cost too much.
            Refused: (503) Too much that is dear waits already; what `find` raises.
        """

        def answer(live: Served, between: Callable[[], None]) -> Answers:
            if find is not None:
                served = find()
                plans = [outside_experiments(served, query, options) for query in queries]
                return self._document(served, plans, between)
            plans = [self.trials.plan(live, query, options) for query in queries]
            return self._document(live, plans, between, is_counted=True)

        prices = self.state.current.prices
        price = prices.lists(queries, options)
        if find is not None:
            # Reading a bundle is dear, however short its lists.
            price = max(price, 2 * prices.dear)
        return await self._run_priced(answer, price, caller)

    async def run(self, answer: Callable[[Served], Result]) -> Result:
        """Something else that a bundle answers quickly, off the event loop."""
        loop = asyncio.get_running_loop()
        span = self._spans.part("answer")
        try:
            with self._others.one():
                return await loop.run_in_executor(self._apart, answer, self.state.current)
        finally:
            span.end()

    async def _run_priced(
        self,
        answer: Callable[[Served, Callable[[], None]], Result],
        price: float,
        caller: Caller,
    ) -> Result:
        """What costs `price`, off the event loop; ended where its client leaves, or its time is over.

        answer: calls its second argument between its steps.
        """
        prices = self.state.current.prices
        require_affordable(price)
        caller.spend(price / prices.plain_list)
        if price <= prices.dear:
            return await self.run(lambda served: answer(served, no_pause))
        span = self._spans.part("answer.dear")
        try:
            return await self.dear.run(answer, self.state.current, price, caller)
        finally:
            span.end(price_milliseconds=price)

    async def explain(
        self, why: Why, caller: Caller = NOBODY, find: Callable[[], Served] | None = None
    ) -> Explained:
        """Why an item has its score.

        find: gives a bundle that is not the live one, which may have to be loaded. Raises Refused
        (404) for an unknown item, an unknown user of whom nothing else is known, and what `find`
        raises; UsageError where nothing is known of the user or visitor.
        """

        def answer(live: Served, between: Callable[[], None]) -> Explained:
            if find is not None:
                return self._explanation(find(), why)
            return self._explanation(self.trials.served_of(live, why.query), why)

        prices = self.state.current.prices
        price = prices.explanation(why.query, why.parts)
        if find is not None:
            price = max(price, 2 * prices.dear)
        return await self._run_priced(answer, price, caller)

    def _explanation(self, served: Served, why: Why) -> Explained:
        """One item's score in parts, by `served`."""
        require_item(served, why.item)
        self.live.refresh()
        with_news = self._with_news(served, why.query)
        # Else an unknown id does no harm: what comes with it says who it is.
        is_known_by_id_alone = not (with_news.history or with_news.attributes or with_news.friends)
        if why.query.user is not None and is_known_by_id_alone:
            require_user(served, str(why.query.user))
        moment = time.time() if why.moment is None else why.moment
        document = served.lookup.explain_query(
            with_news, why.item, why.parts, why.popularity, moment
        )
        return cast(Explained, {**document, "model_version": served.version})

    def _document(
        self,
        served: Served,
        plans: Sequence[Plan],
        between: Callable[[], None],
        is_counted: bool = False,
    ) -> Answers:
        """Each list is written as JSON once it is made, and let go: all of them at the end would hold
        the interpreter for as long as it takes. served: the bundle of lists that no experiment counts.
        """
        self.live.refresh()
        written: dict[int, Any] = {}
        for positions in _made_alike(plans):
            alike = [plans[position] for position in positions]
            first = alike[0]
            with_news = [self._with_news(plan.served, plan.query) for plan in alike]
            lookup = first.served.lookup
            options = _asked_now(first.options)
            answers = lookup.answer_each(with_news, options, "popularity", between)
            for position, plan, answer in zip(positions, alike, answers, strict=True):
                versioned = self._finished([plan], [_versioned(plan.served, answer)])
                if is_counted:
                    self.metrics.observe(plan.served, versioned)
                written[position] = _written(versioned[0], between)
        in_order = [written[position] for position in range(len(plans))]
        return {"answers": in_order, "model_version": served.version}

    def _answer_batch(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        """A batch: one search for all queries with the same options, of the same bundle."""
        live = self.state.current
        self.live.refresh()
        self.metrics.batch.observe(len(asks))
        plans = [self.trials.plan(live, ask.query, ask.options) for ask in asks]
        by_position: dict[int, Answer | Exception] = {}
        for positions in _made_alike(plans):
            alike = [plans[position] for position in positions]
            first = alike[0]
            queries = [plan.query for plan in alike]
            answers = self._answers_or_errors(first.served, queries, first.options)
            answered: list[int] = []
            lists: list[Answer] = []
            for position, answer in zip(positions, answers, strict=True):
                if isinstance(answer, Exception):
                    by_position[position] = answer
                else:
                    answered.append(position)
                    lists.append(answer)
            finished = self._finished([plans[position] for position in answered], lists)
            self.metrics.observe(first.served, finished)
            by_position.update(zip(answered, finished, strict=True))
        return [by_position[position] for position in range(len(asks))]

    def _finished(self, plans: Sequence[Plan], answers: Sequence[Answer]) -> list[Answer]:
        """Lists as they are given; those of an experiment are written down before."""
        pairs = zip(plans, answers, strict=True)
        finished = [self.trials.finish(plan, answer, self._as_wanted) for plan, answer in pairs]
        self.trials.write(plans, finished)
        return [outcome.answer for outcome in finished]

    def _as_wanted(self, plan: Plan) -> Answer:
        [answer] = self._lists(plan.served, [plan.query], plan.wanted)
        return answer

    def _answers_or_errors(
        self, served: Served, queries: Sequence[Query], options: ListOptions
    ) -> Sequence[Answer | Exception]:
        """The lists; whoever is refused among others, or all where they cannot be answered together,
        gets a list or an error alone.
        """
        try:
            answers: list[Answer | None] = [*self._lists(served, queries, options)]
        except Exception as error:  # handed to the one who asked, who logs what is a bug
            if len(queries) == 1:
                return [error]
            # One of them is at fault: each is asked again alone.
            answers = [None] * len(queries)
        settled: list[Answer | Exception] = []
        for query, answer in zip(queries, answers, strict=True):
            if answer is not None and answer["source"] != "refused":
                settled.append(answer)
            else:
                settled.extend(self._answers_or_errors(served, [query], options))
        return settled

    def _lists(
        self,
        served: Served,
        queries: Sequence[Query],
        options: ListOptions,
    ) -> list[Answer]:
        with_news = [self._with_news(served, query) for query in queries]
        answers = served.lookup.answer(with_news, _asked_now(options), "popularity")
        return [_versioned(served, answer) for answer in answers]

    def _with_news(self, served: Served, query: Query) -> Query:
        """A query with the live events of its user that the bundle has not learnt from, before those
        of the query.
        """
        user = None if query.user is None else str(query.user)
        live = self.live.of(user)
        if not live:
            return query
        return replace(query, history=(*served.news(user, live), *query.history))


def _asked_now(options: ListOptions) -> ListOptions:
    """With the moment of the request, where it names none."""
    if options.moment is not None:
        return options
    return options.model_copy(update={"moment": time.time()})


def _versioned(served: Served, answer: lists.Answer) -> Answer:
    return cast(Answer, {**answer, "model_version": served.version})


def _written(answer: Answer, between: Callable[[], None]) -> orjson.Fragment:
    """A list as JSON. Its items are written and let go in runs: to do so with a thousand at once, all
    their reasons with them, takes ten milliseconds each, in which nothing else is done.
    """
    items = answer["items"]
    runs = []
    while items:
        between()
        runs.append(orjson.dumps(items[:_WRITTEN_AT_ONCE])[1:-1])
        del items[:_WRITTEN_AT_ONCE]
    written = orjson.Fragment(b"[%b]" % b",".join(runs))
    return orjson.Fragment(orjson.dumps({**answer, "items": written}))


def _made_alike(plans: Sequence[Plan]) -> Iterable[list[int]]:
    """Positions of lists that one search makes: of the same bundle, with the same options."""
    groups: dict[tuple[int, ListOptions], list[int]] = defaultdict(list)
    for position, plan in enumerate(plans):
        groups[id(plan.served), plan.options].append(position)
    return groups.values()


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
        raise Refused(404, error.message, error.remedy, code=error.code) from None
