"""What costs much (`serving.price`), one after the other, whenever nothing else is being answered; ended
where nobody waits for it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from recsys.search.faiss_kernels import set_search_threads
from serving.caller import Caller
from serving.price import AT_MOST
from serving.problems import Refused
from serving.state import Served

Result = TypeVar("Result")

_AT_ONCE = 2 * AT_MOST  # of the price of what is under way or waits
_WAITING = 8  # each holds its parsed body
_LEAST_SHARE = 0.15  # of a core, where others ask without a pause
_LOOK_SECONDS = 0.25


class Stopped(Exception):
    """Nobody waits for this any more."""


class Others:
    """What is answered beside the dear, which waits for it."""

    def __init__(self) -> None:
        self._under_way = 0
        self._none = threading.Event()
        self._none.set()

    @contextmanager
    def one(self) -> Iterator[None]:
        """While one of them is answered."""
        self._under_way += 1
        self._none.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._none.set()

    def wait(self, at_most: float) -> None:
        """Until none is under way. at_most: seconds."""
        self._none.wait(at_most)


class Work:
    """Something dear under way. Called between its steps, it ends what nobody waits for, and lets others
    go first: its thread holds the interpreter, which they need.
    """

    def __init__(self, others: Others) -> None:
        self._others = others
        self._is_stopped = False
        self._rested: float | None = None  # moment of its thread's time

    def stop(self) -> None:
        self._is_stopped = True

    def __call__(self) -> None:
        if self._is_stopped:
            raise Stopped
        if self._rested is not None:
            worked = time.thread_time() - self._rested
            self._others.wait(worked * (1 / _LEAST_SHARE - 1))
        self._rested = time.thread_time()


class DearLane:
    """others: what goes first."""

    def __init__(self, others: Others) -> None:
        self._others = others
        self._executor = ThreadPoolExecutor(1, "dear", set_search_threads, (1,))
        self._under_way: dict[Work, float] = {}

    def close(self) -> None:
        """End what is under way."""
        for work in self._under_way:
            work.stop()
        self._executor.shutdown(cancel_futures=True)

    @property
    def prices(self) -> list[float]:
        """In milliseconds, of what is under way or waits."""
        return list(self._under_way.values())

    async def run(
        self,
        answer: Callable[[Served, Callable[[], None]], Result],
        served: Served,
        price: float,
        caller: Caller,
    ) -> Result:
        """Off the event loop; ended where its client leaves, or its time is over.

        Args:
            answer: Calls its second argument between its steps.
            served: The bundle that answers.
            price: In milliseconds.
            caller: Who waits for it.

        Returns:
            The answer.

        Raises:
            Refused: (503) Too much waits already; (400) the client has left.
        """
        is_full = len(self._under_way) >= _WAITING
        if is_full or sum(self._under_way.values()) + price > _AT_ONCE:
            raise Refused(
                503,
                "other requests that take long are under way",
                "Try again, or ask for less at once",
                {"Retry-After": "5"},
                code="busy",
            )
        work = Work(self._others)
        self._under_way[work] = price
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._executor, answer, served, work)
        running.add_done_callback(lambda done: self._ended(work, done))
        try:
            while not running.done():
                await asyncio.wait((running,), timeout=_LOOK_SECONDS)
                if not running.done() and await caller.has_left():
                    raise Refused(400, "the client left before its answer", code="client_left")
            return running.result()
        finally:
            work.stop()
            running.cancel()

    def _ended(self, work: Work, done: asyncio.Future) -> None:
        del self._under_way[work]
        if not done.cancelled():
            done.exception()  # somebody else was told, or nobody waits for it
