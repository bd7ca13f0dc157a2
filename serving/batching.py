"""Requests that arrive while others are computed are answered together, by one matrix product."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, NamedTuple, TypeVar

from serving.problems import Refused
from serving.spans import Part, Spans

Asked = TypeVar("Asked")
Given = TypeVar("Given")

AT_ONCE, WAITING = 64, 8192


class _Waiting(NamedTuple):
    question: object
    answer: asyncio.Future
    part: Part


class Batcher(Generic[Asked, Given]):
    """Collects questions and answers up to AT_ONCE of them in one call.

    answer: questions → as many answers, or errors to be raised to the one who asked; runs in
    `executor`, one call at a time. A question that comes alone is not held back: there is no timer,
    and batches grow with the load. spans: told when a question waits, and when it is answered.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Sequence[Given | Exception]],
        executor: Executor,
        spans: Spans | None = None,
    ) -> None:
        self._answer = answer
        self._executor = executor
        self._spans = spans or Spans()
        self._waiting: deque[_Waiting] = deque()
        self._running = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def ask(self, question: Asked) -> Given:
        """The answer. Raises what `answer` gave for this question, and Refused (503) when too many
        wait already.
        """
        if len(self._waiting) >= WAITING:
            raise Refused(
                503,
                f"{WAITING} requests wait already",
                "Try again",
                {"Retry-After": "1"},
                code="busy",
            )
        loop = asyncio.get_running_loop()
        waiting = _Waiting(question, loop.create_future(), self._spans.part("batch.wait"))
        self._waiting.append(waiting)
        if not self._running:
            self._running = True
            # After the other sockets that are ready in this turn of the loop have been read.
            loop.call_soon(self._start, loop)
        return await waiting.answer  # type: ignore[no-any-return]

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        questions = [waiting.question for waiting in batch]
        spans = [waiting.part.then("batch.answer") for waiting in batch]
        running = loop.run_in_executor(self._executor, self._answer, questions)  # type: ignore[arg-type]
        running.add_done_callback(lambda done: self._finish(loop, batch, spans, done))

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[_Waiting],
        spans: list[Part],
        done: asyncio.Future,
    ) -> None:
        for span in spans:
            span.end(requests=len(batch))
        error = done.exception()
        answers = [error] * len(batch) if error else done.result()
        for waiting, answer in zip(batch, answers, strict=True):
            _settle(waiting.answer, answer)
        if self._waiting:
            self._start(loop)
        else:
            self._running = False


def _settle(future: asyncio.Future, answer: object) -> None:
    if future.done():  # whoever asked has gone
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
