"""Requests that arrive together are answered together, as if each had come alone."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from recsys.core.errors import UsageError
from recsys.lookup.histories import Event
from recsys.lookup.options import ListOptions
from recsys.lookup.query import Query
from serving.batching import AT_ONCE, WAITING, Batcher
from serving.forgotten import Forgotten
from serving.live_events import LiveEvents
from serving.metrics import Metrics
from serving.problems import Refused
from serving.service import Service
from serving.state import State
from serving.trials import Trials


@pytest.fixture
def service(bundle_path: Path) -> Service:
    metrics = Metrics()
    state = State(bundle_path, metrics)
    trials = Trials(None, state, Forgotten(None))
    return Service(state, LiveEvents(None), metrics, trials)


def queries() -> list[tuple[Query, ListOptions]]:
    users = [Query(f"u{place % 30:02}") for place in range(120)]
    visitors = [
        Query(None, (Event(f"i{place:02}"), Event(f"i{place + 1:02}", "view")))
        for place in range(20)
    ]
    options = [
        ListOptions(k=5),
        ListOptions(k=12),
        ListOptions(k=5, offset=3),
        ListOptions(k=5, deny=("i03", "i28")),
        ListOptions(k=5, diversity=0.4),
    ]
    return [
        (one, options[place % len(options)])
        for place, one in enumerate([*users, *visitors, Query("nobody")])
    ]


def same(one: Any, other: Any) -> bool:
    """The same but for the last bits of the scores: the sums of one product and of many are rounded
    otherwise.
    """
    scores = [[item.pop("score") for item in answer["items"]] for answer in (one, other)]
    assert one.pop("answer") != other.pop("answer")
    return one == other and np.allclose(*scores, atol=1e-6)


def test_answers_together_are_those_alone(service: Service) -> None:
    asked = queries()

    async def together() -> list[Any]:
        return await asyncio.gather(*(service.recommend_one(*one) for one in asked))

    async def alone() -> list[Any]:
        return [await service.recommend_one(*one) for one in asked]

    for one, other in zip(asyncio.run(together()), asyncio.run(alone()), strict=True):
        assert same(loads(one), loads(other))
    sizes = service.metrics.batch.collect()[0].samples
    count, total = (
        next(one.value for one in sizes if one.name.endswith(end)) for end in ("_count", "_sum")
    )
    assert total == 2 * len(asked)
    assert count < 1.5 * len(asked)


def test_a_wrong_request_harms_no_other_of_its_batch(service: Service) -> None:
    wrong = Query(None, (Event("i01", "lend"),))

    async def together() -> list[Any]:
        asked = (
            service.recommend_one(one, ListOptions(k=3))
            for one in (Query("u01"), wrong, Query("u02"))
        )
        return await asyncio.gather(*asked, return_exceptions=True)

    first, error, last = asyncio.run(together())
    assert isinstance(error, UsageError)
    assert [len(one["answers"][0]["items"]) for one in (first, last)] == [3, 3]


def loads(answers: Any) -> Any:
    """The one answer of a document, whether or not it was written as JSON already."""
    return orjson.loads(orjson.dumps(answers))["answers"][0]


def collecting(batches: list[int]) -> Batcher[int, int]:
    def answer(asked: Sequence[int]) -> list[int | Exception]:
        batches.append(len(asked))
        return [2 * one for one in asked]

    return Batcher(answer, ThreadPoolExecutor(1))


def test_what_arrives_together_makes_full_batches() -> None:
    batches: list[int] = []
    batcher = collecting(batches)

    async def together() -> list[int]:
        return await asyncio.gather(*(batcher.ask(one) for one in range(150)))

    assert asyncio.run(together()) == [2 * one for one in range(150)]
    assert batches == [AT_ONCE, AT_ONCE, 150 - 2 * AT_ONCE]


def test_whoever_left_is_passed_over() -> None:
    batcher = collecting([])

    async def leaving() -> int:
        gone = asyncio.create_task(batcher.ask(1))
        await asyncio.sleep(0)
        gone.cancel()
        return await batcher.ask(2)

    assert asyncio.run(leaving()) == 4


def test_a_batch_that_fails_tells_everybody() -> None:
    def fail(asked: Sequence[int]) -> list[int | Exception]:
        raise ValueError("no")

    batcher: Batcher[int, int] = Batcher(fail, ThreadPoolExecutor(1))

    async def together() -> list[Any]:
        return await asyncio.gather(batcher.ask(1), batcher.ask(2), return_exceptions=True)

    assert [str(one) for one in asyncio.run(together())] == ["no", "no"]


def test_too_many_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.batching.WAITING", 3)
    batcher = collecting([])

    async def together() -> list[Any]:
        return await asyncio.gather(*(batcher.ask(one) for one in range(5)), return_exceptions=True)

    found = asyncio.run(together())
    assert found[:3] == [0, 2, 4]
    assert all(isinstance(one, Refused) and one.status == 503 for one in found[3:])
    assert WAITING > 3
