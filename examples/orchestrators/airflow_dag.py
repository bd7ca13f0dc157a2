"""A nightly run as an Airflow DAG: what became of it decides what is done next.

RECSYS_CONFIG and RECSYS_RUN name the TOML file and the run folder. Exit codes: docs/automation.md.
"""

import os
from datetime import datetime, timedelta

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, task
from nightly import Broken, run_recsys

CONFIG = os.environ.get("RECSYS_CONFIG", "recsys.toml")
RUN = os.environ.get("RECSYS_RUN", "runs/nightly")


@dag(schedule="0 3 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def nightly():
    @task(retries=2, retry_delay=timedelta(minutes=10), execution_timeout=timedelta(hours=6))
    def learn() -> str:
        """The message of a bundle that was held back; "" for one that is live."""
        try:
            night = run_recsys(CONFIG, RUN)
        except Broken as error:
            raise AirflowFailException(str(error)) from error  # no retry mends it
        return "" if night.is_live else night.message

    @task.branch
    def next_step(held_back: str) -> str:
        return "tell_of_held_back" if held_back else "is_live"

    @task
    def is_live() -> None:
        print(f"{RUN} answers with the bundle of tonight")

    @task
    def tell_of_held_back(held_back: str) -> None:
        print(f"the bundle before stays: {held_back}")

    held_back = learn()
    next_step(held_back) >> [is_live(), tell_of_held_back(held_back)]


nightly()
