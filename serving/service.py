"""What the service knows how to answer, independent of HTTP: every method works on one bundle from
start to end.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar, cast

import faiss

from recsys.core.errors import RecsysError
from recsys.lookup.answers import Explained as LookupExplained
from recsys.lookup.visits import History
from serving.batching import Batcher
from serving.documents import Answer, Answers, Explained
from serving.events import LiveEvents
from serving.metrics import Metrics
from serving.problems import Refused
from serving.questions import Question, Rules
from serving.state import Served, State

Result = TypeVar("Result")

_THREADS = 2
_SHORT_HISTORY = 50  # longer ones are answered alone, so that nobody waits for them
_REASONS = 3
_WITHOUT_VECTOR = ("segment", "fallback")


class Ask(NamedTuple):
    question: Question
    rules: Rules


class Service:
    """Answers from the state's bundle, with live events folded in. threads: of FAISS, for each
    search.
    """

    def __init__(self, state: State, live: LiveEvents, metrics: Metrics, threads: int = 1) -> None:
        self.state, self.live, self.metrics = state, live, metrics
        self._together = ThreadPoolExecutor(1, "recommend", faiss.omp_set_num_threads, (threads,))
        self._apart = ThreadPoolExecutor(_THREADS, "answer", faiss.omp_set_num_threads, (threads,))
        self._batcher: Batcher[Ask, Answer] = Batcher(self._answer_all, self._together)

    def close(self) -> None:
        """Wait for what is being computed."""
        self._together.shutdown()
        self._apart.shutdown()

    async def recommend_one(self, question: Question, rules: Rules) -> Answer:
        """One list, answered together with others that are asked for at the same time."""
        if rules.explain or len(question.history) > _SHORT_HISTORY:
            return (await self.recommend([question], rules))["answers"][0]
        return await self._batcher.ask(Ask(question, rules))

    async def recommend(self, questions: Sequence[Question], rules: Rules) -> Answers:
        """Several lists, all from the same bundle."""
        return await self.run(lambda served: self._document(served, questions, rules))

    async def recommend_by(
        self, find: Callable[[], Served], questions: Sequence[Question], rules: Rules
    ) -> Answers:
        """Several lists from a bundle that is not the live one; no figure counts them."""
        return await self.run(lambda live: self._by(find(), questions, rules))

    async def run(self, answer: Callable[[Served], Result]) -> Result:
        """Something else that a bundle answers, off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._apart, answer, self.state.current)

    def explain(
        self, served: Served, question: Question, item: str, parts: int, popularity: float = 0.0
    ) -> Explained:
        """Raises Refused (404) for an unknown item, UsageError when nothing is known of the user or
        visitor.
        """
        require_item(served, item)
        self.live.refresh()
        found = self._explained(served, question, item, parts, popularity)
        return cast(Explained, {**found, "model_version": served.version})

    def _document(self, served: Served, questions: Sequence[Question], rules: Rules) -> Answers:
        found = self._by(served, questions, rules)
        self.metrics.observe(served, found["answers"])
        return found

    def _by(self, served: Served, questions: Sequence[Question], rules: Rules) -> Answers:
        self.live.refresh()
        return {"answers": self._lists(served, questions, rules), "model_version": served.version}

    def _answer_all(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        """A batch: one search for all questions under the same rules."""
        served = self.state.current
        self.live.refresh()
        self.metrics.batch.observe(len(asks))
        groups: dict[Rules, list[int]] = defaultdict(list)
        for place, ask in enumerate(asks):
            groups[ask.rules].append(place)
        found: dict[int, Answer | Exception] = {}
        for rules, places in groups.items():
            answers = self._each(served, [asks[place].question for place in places], rules)
            found.update(zip(places, answers, strict=True))
        self.metrics.observe(
            served, [one for one in found.values() if not isinstance(one, Exception)]
        )
        return [found[place] for place in range(len(asks))]

    def _each(
        self, served: Served, questions: Sequence[Question], rules: Rules
    ) -> Sequence[Answer | Exception]:
        """The lists; where the questions cannot be answered together, every one gets its own list
        or error.
        """
        try:
            return self._lists(served, questions, rules)
        except Exception as error:  # handed to the one who asked, who logs what is a bug
            if len(questions) == 1:
                return [error]
            return [answer for one in questions for answer in self._each(served, [one], rules)]

    def _lists(self, served: Served, questions: Sequence[Question], rules: Rules) -> list[Answer]:
        found = served.lookup.recommend(
            [question.user for question in questions],
            rules.k,
            histories=[self._history(served, question) for question in questions],
            attributes=[dict(question.attributes) for question in questions],
            friends=[question.friends for question in questions],
            exclude_seen=rules.exclude_seen,
            allow=rules.allow,
            deny=rules.deny,
            filters=dict(rules.filters),
            popularity=rules.popularity,
            diversity=rules.diversity,
            offset=rules.offset,
            reasons=rules.explain,
            fallback="popularity",
        )
        answers = [cast(Answer, {**one, "model_version": served.version}) for one in found]
        if rules.explain:
            for question, answer in zip(questions, answers, strict=True):
                self._give_reasons(served, question, answer)
        return answers

    def _history(self, served: Served, question: Question) -> History:
        """Live events of a user that the bundle has not learnt from, and those of the request."""
        live = self.live.of(question.user)
        return (*served.news(question.user, live), *question.history) if live else question.history

    def _give_reasons(self, served: Served, question: Question, answer: Answer) -> None:
        if answer["source"] in _WITHOUT_VECTOR:
            return
        for item in answer["items"]:
            item["reasons"] = self._explained(served, question, item["id"], _REASONS)["parts"]

    def _explained(
        self, served: Served, question: Question, item: str, parts: int, popularity: float = 0.0
    ) -> LookupExplained:
        return served.lookup.explain(
            question.user,
            item,
            history=self._history(served, question),
            attributes=dict(question.attributes),
            friends=question.friends,
            parts=parts,
            popularity=popularity,
        )


def require_item(served: Served, item: str) -> None:
    """Raises Refused (404) naming close ids when the bundle does not know the item."""
    try:
        served.bundle.items.internal(item)
    except RecsysError as error:
        raise Refused(404, error.message, error.remedy) from None


def require_user(served: Served, user: str) -> None:
    """Raises Refused (404) naming close ids when the bundle does not know the user."""
    try:
        served.bundle.users.internal(user)
    except RecsysError as error:
        raise Refused(404, error.message, error.remedy) from None
