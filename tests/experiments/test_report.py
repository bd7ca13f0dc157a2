"""The report out of what services wrote down: by hand, day by day, and in a shop where all is known."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.experiments import (
    BEGAN,
    ab_test,
    holds,
    never_shown_estimate,
    within_pool,
)
from benchmarks.simulated_shop import Shop, simulate
from recsys.experiments.definition import Arm, Experiment
from recsys.experiments.documents import Report
from recsys.experiments.records import Records, read_records
from recsys.experiments.report import make_report

DAY = 86_400
NOW = BEGAN + 3 * DAY


def experiment(**changes: Any) -> Experiment:
    arms = (Arm(name="a", bundle="one", share=0.5), Arm(name="b", bundle="two", share=0.5))
    return Experiment(id="0" * 16, began=BEGAN, arms=arms, **changes)


def answer(name: str, user: str, arm: str, **more: Any) -> dict[str, Any]:
    return {
        "answer": name,
        "user_id": user,
        "timestamp": int(BEGAN),
        "arm": arm,
        "bundle": "one",
        "items": ["x", "y", "z"],
        **more,
    }


def impression(name: str, user: str, items: str = "xyz", day: int = 0) -> dict[str, Any]:
    return {
        "answer": name,
        "user_id": user,
        "timestamp": int(BEGAN) + day * DAY,
        "items": [*items],
        "places": list(range(1, len(items) + 1)),
    }


def event(name: str, user: str, item: str, behavior: str = "view", day: int = 0) -> dict[str, Any]:
    return {
        "answer": name,
        "user_id": user,
        "item_id": item,
        "timestamp": int(BEGAN) + day * DAY + 5,
        "behavior": behavior,
    }


def written(folder: Path, **files: list[dict[str, Any]]) -> Records:
    paths = {}
    for name in ("answers", "impressions", "events"):
        paths[name] = folder / f"{name}.jsonl"
        lines = [json.dumps(row) for row in files.get(name, [])]
        paths[name].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return read_records(paths["answers"], paths["impressions"], [paths["events"]])


def rates(report: Report, arm: str) -> dict[str, float | None]:
    [found] = [one for one in report["arms"] if one["name"] == arm]
    return {name: rate["value"] for name, rate in found["rates"].items()}


@pytest.fixture
def by_hand(tmp_path: Path) -> Report:
    records = written(
        tmp_path,
        answers=[
            answer("1", "u", "a"),
            answer("2", "u", "a"),
            answer("3", "v", "a"),
            answer("4", "w", "b"),
            answer("5", "w", "b", fallback=True),
            answer("6", "q", "b", drawn=True, pool=["x", "y", "z"]),
            answer("7", "never shown", "b"),
        ],
        impressions=[
            impression("1", "u"),
            impression("1", "u"),  # posted twice past the service: still one
            impression("2", "u", "xy", day=1),
            impression("3", "v", day=1),
            impression("4", "w"),
            impression("5", "w"),
            impression("6", "q"),
            impression("made up", "u"),
            impression("3", "somebody else"),
            impression("4", "w", "?"),
        ],
        events=[
            event("1", "u", "x"),
            event("1", "u", "y"),
            event("1", "u", "y", "buy"),
            event("2", "u", "z"),  # of the answer, but not shown
            event("3", "v", "z", "buy", day=2),
            event("4", "somebody else", "x"),
            event("made up", "u", "x"),
            {"user_id": "w", "item_id": "x", "timestamp": int(BEGAN), "behavior": "buy"},
        ],
    )
    return make_report(experiment(), records, "buy", NOW)


def test_rates_by_hand(by_hand: Report) -> None:
    assert rates(by_hand, "a") == {
        "click_through": pytest.approx(2 / 3),
        "clicks_per_list": pytest.approx(3 / 3),
        "conversion": pytest.approx(2 / 3),
        "clickers": 1.0,
        "converters": 1.0,
    }
    assert [(arm["users"], arm["lists"], arm["assigned"]) for arm in by_hand["arms"]] == [
        (2, 3, 2),
        (1, 1, 3),
    ]
    # One user says nothing of the variance.
    assert set(rates(by_hand, "b").values()) == {None}


def test_what_is_left_out_is_counted(by_hand: Report) -> None:
    assert by_hand["excluded"] == {
        "fallbacks": 1,
        "explored": 1,
        "unknown_answers": 1,
        "foreign": 4,
        "clicks": 2,
    }
    assert "could not be loaded" in by_hand["notes"][0]


def test_days_by_hand(by_hand: Report) -> None:
    days = [(day["date"], day["arm"], day["users"], day["lists"]) for day in by_hand["by_day"]]
    assert days == [
        ("2025-10-10", "a", 1, 1),
        ("2025-10-10", "b", 1, 1),
        ("2025-10-11", "a", 2, 2),
    ]
    assert by_hand["by_day"][0]["rates"] == {
        "click_through": 1.0,
        "clicks_per_list": 2.0,
        "conversion": 1.0,
    }


def test_broken_and_unfinished_lines_are_passed_over(tmp_path: Path) -> None:
    whole = [answer("1", "u", "a"), answer("2", "v", "a")]
    written(tmp_path, answers=whole, impressions=[impression("1", "u"), impression("2", "v")])
    with (tmp_path / "answers.jsonl").open("a", encoding="utf-8") as file:
        file.write('nonsense\n[1, 2]\n{"answer": 5}\n{"answer": "3", "user_')
    files = [tmp_path / f"{name}.jsonl" for name in ("answers", "impressions", "events")]
    report = make_report(experiment(), read_records(files[0], files[1], files[2:]), None, NOW)
    assert report["arms"][0]["lists"] == 2


def test_nothing_yet_is_a_report_too(tmp_path: Path) -> None:
    missing = tmp_path / "none.jsonl"
    report = make_report(experiment(), read_records(missing, missing, []), None, NOW)
    assert report["arms"][0]["rates"]["click_through"]["value"] is None
    assert report["comparisons"][0]["verdict"] == "undecided"
    json.dumps(report, allow_nan=False)


SHOP = Shop.made(0)
CONTROL = SHOP.policy(1, 0.25)
TREATMENT = SHOP.policy(2, 0.12)
LIFT = SHOP.click_through(TREATMENT) - SHOP.click_through(CONTROL)


def test_a_look_back_says_what_was_said_on_the_day() -> None:
    """The sequence of a later report is that of the reports of every day before."""
    arms = (Arm(name="a", bundle="a", share=0.5), Arm(name="b", bundle="b", share=0.5))
    tried = Experiment(id="1" * 16, began=BEGAN, arms=arms, effect=LIFT)
    records = simulate(SHOP, tried, [CONTROL, TREATMENT], 800, 8, seed=5)
    late = make_report(tried, records, "buy", BEGAN + 8 * DAY)["comparisons"][0]
    assert len(late["looks"]) >= 6
    for day in (3, 5, 7):
        end = BEGAN + day * DAY
        of_then = Records(
            *(table.filter(pl.col("timestamp") < end) for table in vars(records).values())
        )
        early = make_report(tried, of_then, "buy", end)["comparisons"][0]
        assert early["looks"] == late["looks"][: len(early["looks"])]


def test_a_lift_is_found_at_the_stated_power_and_none_is_made_up() -> None:
    """A small version of `python -m benchmarks experiments`."""
    found = []
    stated = []
    made_up = []
    for seed in range(12):
        [comparison] = ab_test(SHOP, [CONTROL, TREATMENT], LIFT, 1500, 14, seed)["comparisons"]
        found.append(comparison["verdict"])
        stated.append(comparison["power"]["planned"])
        [none] = ab_test(SHOP, [CONTROL, CONTROL], LIFT, 1500, 14, seed)["comparisons"]
        made_up.append(none["verdict"])
    assert 0.7 < sum(stated) / len(stated) < 0.9
    assert found.count("better") >= 7 and "worse" not in found
    assert made_up.count("undecided") >= 11


def test_the_estimate_of_what_was_never_shown_holds_the_truth() -> None:
    never_shown = SHOP.policy(3, 0.1)
    covered = within_pool(never_shown, CONTROL)
    truth = SHOP.clicks_per_list(covered)
    assert truth > 1.2 * SHOP.clicks_per_list(CONTROL)  # what was shown would not do for it
    estimates = [never_shown_estimate(SHOP, CONTROL, covered, 1500, 14, seed) for seed in range(12)]
    for name in ("ips", "snips"):
        assert sum(holds(one[name], truth) for one in estimates) >= 10  # type: ignore[literal-required]
    partly = never_shown_estimate(SHOP, CONTROL, never_shown, 1500, 14, 0)
    assert 0.5 < partly["coverage"] < 0.9 and estimates[0]["coverage"] == 1.0
