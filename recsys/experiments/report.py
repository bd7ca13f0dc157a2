"""The report of an experiment, out of what services wrote down."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import takewhile

import numpy as np
import polars as pl

from recsys.core.arrays import Float64Array
from recsys.core.tables import ANSWER, ARM, DRAWN, FALLBACK, USER_ID
from recsys.experiments import documents
from recsys.experiments.definition import HOLDOUT, RATES, Arm, Experiment, iso
from recsys.experiments.intervals import NOTHING, Ratio, difference, estimate, ratio
from recsys.experiments.rates import DAY, DENOMINATOR, NUMERATOR, Shown
from recsys.experiments.records import Records, shown_items
from recsys.experiments.sequential import Known, power, together
from recsys.experiments.split import split_check

LEAST_USERS = 100
LEAST_HITS = 10
"""Users of an arm, and those of them with an event, before the first look: a variance of fewer says
nothing.
"""

_BY_DAY = ("click_through", "clicks_per_list", "conversion")
_ENOUGH_POWER = 0.8
_LONGEST_DAYS = 365
_SECONDS_A_DAY = 86_400


def make_report(
    experiment: Experiment,
    records: Records,
    target: str | None,
    now: float | None = None,
    estimates: Iterable[documents.OffPolicy] = (),
) -> documents.Report:
    """Rates by arm, comparisons with the control, and what to think of them.

    Args:
        experiment: Its definition.
        records: What services wrote down.
        target: The target behaviour; None where the log has a single one.
        now: Unix seconds; the clock's when None.
        estimates: Of bundles that were never shown.

    Returns:
        The document.
    """
    now = time.time() if now is None else now
    end = min(now, experiment.ended or now)
    days = max(end - experiment.began, 1.0) / _SECONDS_A_DAY
    counted = records.answers.filter(
        ~pl.col(DRAWN).fill_null(False), ~pl.col(FALLBACK).fill_null(False)
    )
    shown = Shown(counted, records, target)
    growth = {rate: shown.growth(rate) for rate in RATES}
    assigned = _users_by(records.answers)
    split = split_check(
        {arm.name: assigned.get(arm.name, 0) for arm in experiment.arms},
        {arm.name: arm.share for arm in experiment.arms},
    )
    comparisons = []
    for arm in experiment.arms[1:]:
        comparisons.append(_comparison(experiment, arm, growth[experiment.rate], days))
    excluded = _excluded(records, shown)
    report: documents.Report = {
        "experiment": experiment.id,
        "state": "running" if experiment.is_running else "stopped",
        "began": iso(experiment.began),
        "made": iso(now),
        "days": days,
        "rate": experiment.rate,
        "effect": experiment.effect,
        "alpha": experiment.alpha,
        "explore": experiment.explore,
        "pool": experiment.pool,
        "arms": [_arm(experiment, arm, shown, growth, assigned) for arm in experiment.arms],
        "comparisons": comparisons,
        "split": split,
        "by_day": _by_day(experiment, shown, growth),
        "excluded": excluded,
        "notes": _notes(split, excluded, comparisons),
    }
    if experiment.ended is not None:
        report["ended"] = iso(experiment.ended)
    if off_policy := list(estimates):
        report["estimates"] = off_policy
    return report


def _users_by(answers: pl.DataFrame) -> dict[str, int]:
    """Users of each arm."""
    counts = answers.group_by(ARM).agg(pl.col(USER_ID).n_unique())
    return dict(counts.iter_rows())


def _arm(
    experiment: Experiment,
    arm: Arm,
    shown: Shown,
    growth: Mapping[str, pl.DataFrame],
    assigned: Mapping[str, int],
) -> documents.Arm:
    lists = shown.lists.filter(pl.col(ARM) == arm.name)
    rates = {}
    for rate, grown in growth.items():
        rates[rate] = estimate(_rate(grown.filter(pl.col(ARM) == arm.name)), experiment.alpha)
    return {
        "name": arm.name,
        "role": _role(experiment, arm),
        "bundle": arm.bundle,
        "share": arm.share,
        "assigned": assigned.get(arm.name, 0),
        "users": lists[USER_ID].n_unique(),
        "lists": len(lists),
        "rates": rates,
    }


def _role(experiment: Experiment, arm: Arm) -> documents.Role:
    if arm.name == HOLDOUT:
        return "holdout"
    return "control" if arm == experiment.control else "treatment"


def _rate(grown: pl.DataFrame) -> Ratio | None:
    """Of one arm, over all days."""
    users = grown.group_by(USER_ID).agg(pl.sum(NUMERATOR, DENOMINATOR))
    return ratio(users[NUMERATOR].to_numpy(), users[DENOMINATOR].to_numpy())


def _comparison(
    experiment: Experiment, arm: Arm, grown: pl.DataFrame, days: float
) -> documents.Comparison:
    control = experiment.control
    alpha = experiment.alpha / (len(experiment.arms) - 1)
    arm_growth = grown.filter(pl.col(ARM) == arm.name)
    control_growth = grown.filter(pl.col(ARM) == control.name)
    dates = sorted({*arm_growth[DAY].to_list(), *control_growth[DAY].to_list()})
    pairs = zip(_path(arm_growth, dates), _path(control_growth, dates), strict=True)
    looks: dict[int, Ratio] = {}
    for day, (treated, untreated) in zip(dates, pairs, strict=True):
        if treated is not None and untreated is not None:
            looks[day] = difference(treated, untreated)
    known = together(list(looks.values()), experiment.effect, alpha)
    ends = (_rate(arm_growth), _rate(control_growth))
    single = None if ends[0] is None or ends[1] is None else difference(ends[0], ends[1])
    comparison: documents.Comparison = {
        "arm": arm.name,
        "control": control.name,
        "rate": experiment.rate,
        "difference": estimate(single, alpha),
        "sequential": {**NOTHING},
        "p": known[-1].p if known else 1.0,
        "verdict": _verdict(list(looks.values()), known, alpha),
        "looks": [
            {"date": _date(day), "value": look.value, "low": at.low, "high": at.high, "p": at.p}
            for (day, look), at in zip(looks.items(), known, strict=True)
        ],
    }
    if known:
        latest = list(looks.values())[-1]
        comparison["sequential"] = {
            "value": latest.value,
            "low": known[-1].low,
            "high": known[-1].high,
        }
        is_decided = comparison["verdict"] != "undecided"
        comparison["power"] = _power(experiment, latest, alpha, days, is_decided)
    return comparison


def _path(grown: pl.DataFrame, dates: list[int]) -> list[Ratio | None]:
    """The rate of one arm at the end of each day; None where too little was known."""
    users, number_of_user = np.unique(grown[USER_ID].to_numpy(), return_inverse=True)
    sums = np.zeros((2, len(users)))
    added = grown.select(NUMERATOR, DENOMINATOR).to_numpy().T
    day_of_row = grown[DAY].to_numpy()
    rates: list[Ratio | None] = []
    for day in dates:
        of_day = day_of_row == day
        sums[:, number_of_user[of_day]] += added[:, of_day]  # a user has one row a day
        rates.append(_known_rate(sums))
    return rates


def _known_rate(sums: Float64Array) -> Ratio | None:
    """sums: (2, users), numerators and denominators."""
    is_enough = (sums[1] > 0).sum() >= LEAST_USERS and (sums[0] > 0).sum() >= LEAST_HITS
    rate = ratio(sums[0], sums[1]) if is_enough else None
    return rate if rate is not None and rate.variance > 0 else None


def _verdict(looks: list[Ratio], known: list[Known], alpha: float) -> documents.Verdict:
    """By the first look that excluded no difference."""
    undecided = list(takewhile(lambda at: at.p > alpha, known))
    if len(undecided) == len(known):
        return "undecided"
    return "better" if looks[len(undecided)].value > 0 else "worse"


def _power(
    experiment: Experiment, now: Ratio, alpha: float, days: float, is_decided: bool
) -> documents.Power:
    """Information comes in evenly, a look a day."""
    a_day = 1 / now.variance / days
    effect = experiment.effect
    longest = max(_LONGEST_DAYS, int(experiment.days))
    to_come = a_day * np.arange(1.0, longest + 1)
    by_day = power(effect, alpha, to_come)
    enough = np.flatnonzero(by_day >= _ENOUGH_POWER)
    left = int(experiment.days - days)
    remaining = 0.0
    if is_decided:
        remaining = 1.0
    elif left > 0 and experiment.is_running:
        further = 1 / now.variance + a_day * np.arange(1.0, left + 1)
        remaining = float(power(effect, alpha, further, now)[-1])
    return {
        "effect": effect,
        "days": experiment.days,
        "planned": float(by_day[max(int(experiment.days), 1) - 1]),
        "remaining": remaining,
        "needed_days": float(enough[0] + 1) if len(enough) else None,
    }


def _by_day(
    experiment: Experiment, shown: Shown, growth: Mapping[str, pl.DataFrame]
) -> list[documents.Day]:
    people = shown.lists.group_by(DAY, ARM).agg(
        pl.col(USER_ID).n_unique().alias("users"), pl.len().alias("lists")
    )
    sums = {}
    for rate in _BY_DAY:
        rows = growth[rate].group_by(DAY, ARM).agg(pl.sum(NUMERATOR, DENOMINATOR))
        for day, arm, above, below in rows.iter_rows():
            sums[rate, day, arm] = above / below if below else None
    order = [arm.name for arm in experiment.arms]
    days: list[documents.Day] = []
    for day, arm, users, lists in sorted(
        people.iter_rows(), key=lambda row: (row[0], order.index(row[1]))
    ):
        rates = {rate: sums.get((rate, day, arm)) for rate in _BY_DAY}
        days.append(
            {"date": _date(day), "arm": arm, "users": users, "lists": lists, "rates": rates}
        )
    return days


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * _SECONDS_A_DAY, UTC).date().isoformat()


def _excluded(records: Records, shown: Shown) -> documents.Excluded:
    answers = records.answers
    named = shown_items(records)
    known = named.join(answers.select(ANSWER), on=ANSWER, how="semi")
    everything = Shown(answers, records, shown.target)
    done = records.events.join(answers.select(ANSWER), on=ANSWER, how="semi")
    return {
        "fallbacks": int(answers[FALLBACK].fill_null(False).sum()),
        "explored": int(answers[DRAWN].fill_null(False).sum()),
        "unknown_answers": named[ANSWER].n_unique() - known[ANSWER].n_unique(),
        "foreign": len(known) - len(everything.items),
        "clicks": len(done) - len(everything.events),
    }


def _notes(
    split: documents.Split,
    excluded: documents.Excluded,
    comparisons: list[documents.Comparison],
) -> list[str]:
    notes = []
    if split["alarm"]:
        notes.append(
            "users are not shared out as defined: something treats the arms differently before "
            "they are counted, and no figure below is to be trusted"
        )
    if excluded["fallbacks"]:
        notes.append(
            f"{excluded['fallbacks']:,} answers are of the live bundle in place of an arm's that "
            "could not be loaded; they are left out"
        )
    if any(not comparison["looks"] for comparison in comparisons):
        notes.append(
            f"the test begins once each arm has {LEAST_USERS} users with a shown list, and "
            f"{LEAST_HITS} of them an event on one"
        )
    return notes
