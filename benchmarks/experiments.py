"""Experiments in a shop where all is known: what the report finds, and what it does not invent.

    python -m benchmarks experiments [--simulations 200] [--users 1500] [--days 14]

First an arm with a known lift, then one without: how often the sequential test, looked at every day,
decides; stated_power is what the report says beforehand. Then lists of a bundle that was never shown,
estimated from drawn ones: how often the 95 % interval holds the truth. covered: the same for a bundle
whose items could all have been drawn.
"""

import argparse
from collections import Counter
from datetime import date

import numpy as np
import polars as pl

from benchmarks.record import record
from benchmarks.simulated_shop import (
    ITEMS_OF_SHOP,
    PLACES_OF_LIST,
    Shop,
    kinds_of,
    simulate,
)
from recsys.core.arrays import Int64Array
from recsys.core.tables import USER_ID
from recsys.experiments.definition import Arm, Experiment
from recsys.experiments.documents import Estimate, OffPolicy, Report
from recsys.experiments.drawn_lists import estimate_bundle
from recsys.experiments.report import make_report

BEGAN = 1_760_054_400.0  # midnight, UTC
LEVEL = 0.05
_SECONDS_A_DAY = 86_400
_EXPLORE, _POOL = 0.3, 20
_CONTROL_NOISE, _TREATMENT_NOISE, _NEVER_SHOWN_NOISE = 0.25, 0.12, 0.1


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--simulations", type=int, default=200)
    options.add_argument("--users", type=int, default=1500)
    options.add_argument("--days", type=int, default=14)
    given = options.parse_args()
    shop = Shop.made(0)
    control = shop.policy(1, _CONTROL_NOISE)
    treatment = shop.policy(2, _TREATMENT_NOISE)
    lift = shop.click_through(treatment) - shop.click_through(control)
    figures: dict[str, object] = {
        "simulations": given.simulations,
        "users": given.users,
        "days": given.days,
        "control_click_through": round(shop.click_through(control), 4),
        "lift": round(lift, 4),
        "alpha": LEVEL,
    }
    seeds = range(given.simulations)
    for name, other in (("with_lift", treatment), ("without_lift", control)):
        reports = []
        for seed in seeds:
            reports.append(ab_test(shop, [control, other], lift, given.users, given.days, seed))
        figures[name] = _decisions(reports)
    never_shown = shop.policy(3, _NEVER_SHOWN_NOISE)
    figures["off_policy"] = _off_policy(
        shop, control, never_shown, given.users, given.days, given.simulations
    )
    record("experiments", figures, "a simulated shop with known click probabilities")


def ab_test(
    shop: Shop, policies: list[Int64Array], lift: float, users: int, days: int, seed: int
) -> Report:
    """The report on the last day of a test of two arms, with every day's look in it."""
    arms = []
    for name in ("control", "treatment"):
        arms.append(Arm(name=name, bundle=name, share=0.5))
    experiment = Experiment(
        id=f"{seed:016x}", began=BEGAN, arms=tuple(arms), effect=lift, days=days, alpha=LEVEL
    )
    records = simulate(shop, experiment, policies, users, days, seed)
    return make_report(experiment, records, "buy", BEGAN + days * _SECONDS_A_DAY)


def never_shown_estimate(
    shop: Shop, control: Int64Array, other: Int64Array, users: int, days: int, seed: int
) -> OffPolicy:
    """Of lists that nobody was shown, from the drawn ones of a single arm."""
    arm = Arm(name="control", bundle="control", share=1.0)
    experiment = Experiment(
        id=f"{seed:016x}", began=BEGAN, arms=(arm,), explore=_EXPLORE, pool=_POOL
    )
    records = simulate(shop, experiment, [control], users, days, seed)
    kinds = kinds_of(users, seed)

    def lists_of(answers: pl.DataFrame) -> list[list[str]]:
        numbers = answers[USER_ID].str.strip_prefix("user ").cast(pl.Int64).to_numpy()
        best: list[list[str]] = other[kinds[numbers], :PLACES_OF_LIST].astype(str).tolist()
        return best

    return estimate_bundle("never shown", records, lists_of, LEVEL)


def within_pool(policy: Int64Array, control: Int64Array, pool: int = _POOL) -> Int64Array:
    """(kinds, items) the order of a policy, with the items that exploration can draw before all others."""
    ordered = np.empty_like(policy)
    for kind in range(len(policy)):
        in_pool = np.isin(policy[kind], control[kind, :pool])
        ordered[kind] = np.concatenate([policy[kind][in_pool], policy[kind][~in_pool]])
    return ordered


def holds(estimate: Estimate, truth: float) -> bool:
    """Whether an interval does."""
    low, high = estimate["low"], estimate["high"]
    return low is not None and high is not None and low <= truth <= high


def _decisions(reports: list[Report]) -> dict[str, object]:
    verdicts = Counter(report["comparisons"][0]["verdict"] for report in reports)
    powers = []
    days = []
    for report in reports:
        [comparison] = report["comparisons"]
        if "power" in comparison:
            powers.append(comparison["power"]["planned"])
        decided_on = [look["date"] for look in comparison["looks"] if look["p"] <= LEVEL]
        if decided_on:
            since = date.fromisoformat(decided_on[0]) - date.fromtimestamp(BEGAN)
            days.append(since.days + 1)
    return {
        "decided": {name: verdicts[name] for name in ("better", "worse", "undecided")},
        "found": round((verdicts["better"] + verdicts["worse"]) / len(reports), 3),
        "stated_power": round(float(np.mean(powers)), 3) if powers else None,
        "median_day_of_decision": float(np.median(days)) if days else None,
        "split_alarms": sum(report["split"]["alarm"] for report in reports),
    }


def _off_policy(
    shop: Shop, control: Int64Array, other: Int64Array, users: int, days: int, simulations: int
) -> dict[str, object]:
    figures: dict[str, object] = {"explore": _EXPLORE, "pool": _POOL, "items": ITEMS_OF_SHOP}
    figures["control_clicks_per_list"] = round(shop.clicks_per_list(control), 4)
    for name, policy in (("covered", within_pool(other, control)), ("never_shown", other)):
        # What lies outside the pool cannot be drawn: IPS speaks of the places that can.
        truth = shop.clicks_per_list(policy, control[:, :_POOL])
        found = []
        for seed in range(simulations):
            found.append(never_shown_estimate(shop, control, policy, users, days, seed))
        ips = [one["ips"] for one in found]
        figures[name] = {
            "truth": round(shop.clicks_per_list(policy), 4),
            "truth_of_covered_places": round(truth, 4),
            "coverage": round(float(np.mean([one["coverage"] for one in found])), 3),
            "drawn_lists": round(float(np.mean([one["lists"] for one in found]))),
            "ips_mean": round(float(np.mean([one["value"] for one in ips])), 4),
            "ips_holds_truth": round(float(np.mean([holds(one, truth) for one in ips])), 3),
        }
        if name == "covered":
            snips = [one["snips"] for one in found]
            figures[name] |= {
                "snips_mean": round(float(np.mean([one["value"] for one in snips])), 4),
                "snips_holds_truth": round(float(np.mean([holds(one, truth) for one in snips])), 3),
                "ips_half_width": round(_mean_half_width(ips), 4),
                "snips_half_width": round(_mean_half_width(snips), 4),
            }
    return figures


def _mean_half_width(estimates: list[Estimate]) -> float:
    return float(np.mean([(one["high"] - one["low"]) / 2 for one in estimates]))


if __name__ == "__main__":
    main()
