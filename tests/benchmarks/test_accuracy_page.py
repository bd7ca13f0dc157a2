"""The pages from a few figures."""

from typing import Any

import numpy as np

from benchmarks.accuracy.__main__ import cost
from benchmarks.accuracy.compare import paired
from benchmarks.accuracy.page import accuracy_page
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.text import figure, signed

PUBLISHED: dict[str, Any] = {
    "goal": [
        {
            "row": "full",
            "title": "all of it",
            "gowalla": [0.2, 0.1665],
            "yelp2018": [0.0765, 0.0635],
        }
    ],
    "best": [
        {
            "kind": "best of any kind",
            "gowalla": ["Other", 0.19, 0.16],
            "yelp2018": ["Another", 0.07, 0.06],
        }
    ],
    "method": [{"name": "Other", "source": "a paper", "gowalla": [0.19, 0.16]}],
}


def entry(dataset: str, row: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    measured = {
        "recall@20": 0.2,
        "ndcg@20": 0.16,
        "ndcg@10": 0.1,
        "seconds": 3600.0,
        "peak_mb": 900,
    }
    return {
        "dataset": dataset,
        "row": row,
        "seed": seed,
        "selected_on": "validation",
        **measured,
        **changes,
    }


def test_goals_are_shown_with_the_mean_its_spread_and_the_distance() -> None:
    found = [
        entry("gowalla", "full", seed, **{"recall@20": value})
        for seed, value in enumerate([0.19, 0.2, 0.21])
    ]
    page = accuracy_page(found, PUBLISHED, [], {"full": Row("full", "All of it")}, [])
    assert (
        "| ours, `full` | .2000 ± .0100 / .1600 ± .0000 (+.0000 / −.0065; 3 seeds) | not measured |"
        in page
    )
    assert page.index("**All of it**") < page.index("| Other | .1900 / .1600 | a paper |")


def test_what_was_selected_on_the_test_is_labelled() -> None:
    page = accuracy_page([entry("gowalla", "full", selected_on="test")], PUBLISHED, [], {}, [])
    assert "ours, `full` (on test)" in page and "`full`, 1 seed, on test" in page


def test_time_ordered_rows_are_set_against_the_default() -> None:
    found = [entry("online-retail", "default"), entry("online-retail", "ease", **{"ndcg@10": 0.12})]
    apart = {
        "dataset": "online-retail",
        "row": "default",
        "other": "ease",
        "metric": "ndcg@10",
        "low": -0.03,
        "high": 0.01,
    }
    page = accuracy_page(
        found,
        PUBLISHED,
        [apart],
        {"default": Row("default", "Default"), "ease": Row("ease", "EASE")},
        [],
    )
    assert "| EASE | .1200 | .2000 | −.0300 to +.0100 |\n| Default | .1000 | .2000 |  |" in page


def test_the_same_figures_give_the_same_page() -> None:
    found = [
        entry("gowalla", "full"),
        entry("ml-100k", "ease"),
        entry("ml-100k", "peer:implicit-als"),
    ]
    assert accuracy_page(found, PUBLISHED, [], {}, []) == accuracy_page(
        list(reversed(found)), PUBLISHED, [], {}, []
    )


def test_the_default_is_set_against_the_best_baseline_and_judged_by_the_interval() -> None:
    def compared(other: str, value: float, low: float, high: float) -> dict[str, Any]:
        apart = {"value": 0.1, "other_value": value, "low": low, "high": high}
        return {"dataset": "films", "row": "default", "other": other, "metric": "ndcg@10", **apart}

    named = {name: Row(name, name.upper(), baseline=name) for name in ("ease", "gfcf")}
    known = [
        compared("gfcf", 0.08, 0.01, 0.03),
        compared("ease", 0.11, -0.03, 0.01),
        compared("model", 0.9, -1, -0.7),
    ]
    page = accuracy_page([], PUBLISHED, known, named, [])
    assert "| films | .1000 | EASE | .1100 | −.0300 to +.0100 | within noise |" in page


def test_levers_stand_beside_the_base_of_their_own_family() -> None:
    found = []
    for name, value in (("base", 0.1), ("history-base", 0.2), ("history-user-table", 0.23)):
        found.append(entry("ml-100k", f"ablation:{name}", validation=value))
    page = accuracy_page(found, PUBLISHED, [], {}, [])
    assert "| a row of each user beside the history | .2300 (+.0300) |" in page
    assert "| ml-100k | users as histories | .2000 (+.0000) |" in page


def test_speed_is_told_in_processor_hours() -> None:
    theirs = {
        "seconds": 72000.0,
        "cpu_seconds": 36000.0,
        "batches_measured": 20,
        "device": "cpu, 1 thread",
    }
    ours = {"seconds": 720.0, "cpu_seconds": 600.0}
    known = {"recall@20": 0.183, "peer": "peer:x", "theirs": theirs, "row": "full", "ours": ours}
    page = accuracy_page([], PUBLISHED, [], {}, [{"data": "gowalla", "figures": known}])
    assert (
        "| gowalla | .1830 | peer:x | cpu, 1 thread | 20.0 | 10.0 | 20 | `full` | 0.20 | 0.17 | 60 × |"
        in page
    )


def test_the_cost_is_what_was_measured_before() -> None:
    wanted = [(Row("full", "Full"), "gowalla", seed) for seed in range(3)]
    told = cost(wanted, [entry("gowalla", "full", seed) for seed in range(2)])
    assert told == "3 runs. 2 of them were measured and took 2.0 h together; 1 were never measured."


def test_figures_are_printed_as_papers_do() -> None:
    assert (figure(0.18304), figure(0.2, 0.00041), signed(-0.0012), signed(0.0)) == (
        ".1830",
        ".2000 ± .0004",
        "−.0012",
        "+.0000",
    )


def test_a_row_against_itself_is_no_difference() -> None:
    values = np.random.default_rng(0).random(50)
    found = paired(values, values)
    assert found["difference"] == found["low"] == found["high"] == 0.0 and found["p"] == 1.0
