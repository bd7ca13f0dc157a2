"""A nightly run as a Dagster asset with a check: dagster asset materialize -f THIS --select bundle"""

import os

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    Backoff,
    Config,
    Definitions,
    Failure,
    MaterializeResult,
    RetryPolicy,
    ScheduleDefinition,
    asset,
    define_asset_job,
)
from nightly import Broken, run_recsys


class NightlyConfig(Config):
    """config: the TOML file. out: the run folder."""

    config: str = os.environ.get("RECSYS_CONFIG", "recsys.toml")
    out: str = os.environ.get("RECSYS_RUN", "runs/nightly")


@asset(
    retry_policy=RetryPolicy(max_retries=2, delay=60, backoff=Backoff.EXPONENTIAL),
    check_specs=[AssetCheckSpec("is_live", asset="bundle")],
)
def bundle(config: NightlyConfig) -> MaterializeResult:
    """The bundle of the night; the check fails where it was held back and the one before stays."""
    try:
        night = run_recsys(config.config, config.out)
    except Broken as error:
        raise Failure(str(error), allow_retries=False) from error
    check = AssetCheckResult(passed=night.is_live, metadata={"message": night.message})
    headline = night.document["report"]["headline"]
    return MaterializeResult(metadata={"headline": headline}, check_results=[check])


job = define_asset_job("nightly", selection=[bundle])
definitions = Definitions(
    assets=[bundle],
    jobs=[job],
    schedules=[ScheduleDefinition(job=job, cron_schedule="0 3 * * *")],
)
