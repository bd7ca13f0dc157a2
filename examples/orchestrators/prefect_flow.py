"""A nightly run as a Prefect flow: python examples/orchestrators/prefect_flow.py CONFIG.toml RUN"""

import sys
from typing import Any

from nightly import Broken, Night, run_recsys
from prefect import flow, task


def _may_be_repeated(task: Any, run: Any, state: Any) -> bool:
    """Missing data may come; a wrong configuration stays wrong."""
    return not isinstance(state.result(raise_on_failure=False), Broken)


@task(retries=2, retry_delay_seconds=[0, 60], retry_condition_fn=_may_be_repeated)
def learn(config: str, out: str) -> Night:
    return run_recsys(config, out)


@task
def tell_of_held_back(night: Night) -> str:
    return f"held back: {night.message}"


@flow
def nightly(config: str, out: str) -> str:
    """What became of the night: "live", or why the bundle before stays."""
    night = learn(config, out)
    if night.is_live:
        return "live"
    return tell_of_held_back(night)


if __name__ == "__main__":
    print(nightly(*sys.argv[1:3]))
