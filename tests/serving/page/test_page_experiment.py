"""The view of an experiment: the verdict, rates by arm, their course."""

import json
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, Route, expect

from pages import faults

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def estimate(value: float, width: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - width, "high": value + width}


def arm(name: str, role: str, bundle: str | None, rate: float) -> dict[str, object]:
    return {
        "name": name,
        "role": role,
        "bundle": bundle,
        "share": 0.5,
        "assigned": 1000,
        "users": 900,
        "lists": 4000,
        "rates": {"click_through": estimate(rate)},
    }


def day(date: str, name: str, rate: float | None) -> dict[str, object]:
    return {"date": date, "arm": name, "users": 9, "lists": 9, "rates": {"click_through": rate}}


REPORT = {
    "experiment": "spring",
    "state": "running",
    "began": "2026-03-01T00:00:00Z",
    "made": "2026-03-04T00:00:00Z",
    "days": 3.0,
    "rate": "click_through",
    "effect": 0.02,
    "alpha": 0.05,
    "explore": 0.05,
    "pool": 50,
    "arms": [
        arm("live", "control", "aaaaaaaaaaaa", 0.21),
        arm("newer", "treatment", "bbbbbbbbbbbb", 0.25),
    ],
    "comparisons": [
        {
            "arm": "newer",
            "control": "live",
            "rate": "click_through",
            "difference": estimate(0.04),
            "sequential": estimate(0.04, 0.03),
            "p": 0.01,
            "verdict": "better",
            "looks": [],
        }
    ],
    "split": {"observed": {}, "expected": {}, "p": 0.5, "alarm": False},
    "by_day": [
        day("2026-03-01", "live", 0.2),
        day("2026-03-01", "newer", None),
        day("2026-03-02", "live", 0.22),
        day("2026-03-02", "newer", 0.26),
    ],
    "excluded": {},
    "notes": ["Few users yet."],
}


def test_rates_and_verdict_are_shown(page: Page, address: str, shots: Path) -> None:
    def give(route: Route) -> None:
        route.fulfill(body=json.dumps(REPORT), content_type="application/json")

    page.route("**/v1/admin/experiment", give)
    page.goto(f"{address}/#experiment")
    view = page.locator("#view-experiment")
    expect(view).to_contain_text("Experiment spring has run for 3 days")
    expect(view).to_contain_text("newer is better, held against live")
    expect(view).to_contain_text("between 1.00 % and 7.00 % (95 % confidence")
    expect(view).to_contain_text("Few users yet.")
    row = view.get_by_role("row", name="newer")
    expect(row).to_contain_text("25.00 %")
    expect(row).to_contain_text("24.00 % to 26.00 %")
    chart = view.get_by_role("img", name="Click through by day")
    expect(chart.locator("path.line")).to_have_count(2)
    for width in (320, 768, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=shots / f"experiment-{scheme}.png", full_page=True)
        assert faults(page) == []


def test_without_an_experiment_the_view_says_so(page: Page, address: str) -> None:
    problem = {"detail": "there is none", "remedy": "Start one"}
    page.route(
        "**/v1/admin/experiment",
        lambda route: route.fulfill(status=200, body=json.dumps({**REPORT, "comparisons": []})),
    )
    page.goto(f"{address}/#experiment")
    expect(page.locator("#view-experiment")).to_contain_text("Experiment spring")
    script = """async (problem) => {
        const real = window.fetch;
        window.fetch = async (path, given) => path.endsWith("/v1/admin/experiment")
            ? new Response(JSON.stringify(problem), { status: 404 })
            : real(path, given);
    }"""
    page.evaluate(script, problem)
    page.get_by_role("link", name="Report").click()
    page.get_by_role("link", name="Experiment").click()
    expect(page.locator("#view-experiment")).to_contain_text("No experiment was started")
