"""What is dear gives way to what is not."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from patience import PATIENCE_SECONDS
from serving.dear import Others, Stopped, Work


def test_others_go_first_and_are_many_at_a_time() -> None:
    others = Others()
    with ThreadPoolExecutor(1) as dear:
        with others.one():
            waiting = dear.submit(others.wait, PATIENCE_SECONDS)
            with others.one():
                pass
            assert not waiting.done()  # one of the two is under way still
        waiting.result(PATIENCE_SECONDS)


def test_dear_work_goes_on_though_others_never_end() -> None:
    work = Work(others := Others())
    with others.one():
        work()
        sum(range(10_000))
        work()


def test_an_other_that_fails_is_under_way_no_more() -> None:
    others = Others()
    with pytest.raises(KeyError), others.one():
        raise KeyError
    others.wait(PATIENCE_SECONDS)


def test_stopped_work_ends_at_its_next_step() -> None:
    work = Work(Others())
    work()
    work.stop()
    with pytest.raises(Stopped):
        work()
