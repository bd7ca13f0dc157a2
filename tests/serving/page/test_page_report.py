"""The view of the report, and of live figures."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from browsers import fresh_page
from pages import choose_user, rows
from servers import ask, running
from serving.settings import Settings


def test_the_report_is_shown_with_what_its_metric_means(page: Page, shots: Path) -> None:
    page.get_by_role("link", name="Report").click()
    expect(page.get_by_text("Graph attention finds more than EASE.")).to_be_visible()
    expect(page.get_by_text("the higher a place, the more it counts")).to_be_visible()
    expect(page.get_by_role("row", name="ease 0.1900")).to_contain_text("yes")
    expect(page.get_by_role("columnheader", name="Is attention better?")).to_be_visible()
    page.screenshot(path=shots / "report.png", full_page=True)


def test_the_full_report_opens_and_runs_nothing(browser: BrowserContext, page: Page) -> None:
    page.get_by_role("link", name="Report").click()
    with browser.expect_page() as opened:
        page.get_by_role("link", name="full report").click()
    expect(opened.value.get_by_text("All of it")).to_be_visible()
    opened.value.close()


def test_a_bundle_without_a_report_is_told_calmly(
    browser: BrowserContext, run_path: Path, tmp_path: Path
) -> None:
    bundles = run_path / "bundles"
    [plain] = [path for path in bundles.iterdir() if not (path / "report.json").exists()]
    bundle = Path(shutil.copytree(plain, tmp_path / plain.name))
    with running(Settings(bundle)) as address, fresh_page(browser) as (page, _):
        page.goto(f"{address}/#report")
        expect(page.get_by_text("has no report: it was not tested")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_empty()


def test_live_figures_have_a_row_a_route_and_a_course(
    page: Page, address: str, shots: Path
) -> None:
    for path in ("/no/such/path", "/v1/nothing", "/.env", "/page/no.js"):
        ask(address + path)
    ask(f"{address}/v1/model", method="DELETE")
    ask(f"{address}/v1/items/i05")
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_role("row", name="POST /v1/recommend")).to_contain_text("ms")
    expect(page.get_by_role("row", name="GET /v1/items/{item}")).to_be_visible()
    names = page.locator("#live-content tbody th").all_inner_texts()
    assert len(set(names)) == len(names)
    assert {"Files of the page", "Unknown paths and methods"} <= set(names)
    assert not [name for name in names if "DELETE" in name or ":path" in name]
    chart = page.get_by_role("img", name="Requests a second")
    expect(chart).to_be_visible()
    expect(chart.locator("path.line")).to_have_count(1)
    page.screenshot(path=shots / "live.png", full_page=True)


def test_the_course_goes_on_behind_another_view(page: Page) -> None:
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_role("img", name="Time to answer")).to_be_visible()
    page.get_by_role("link", name="Recommend").click()
    choose_user(page)
    expect(rows(page)).to_have_count(10)
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_role("img", name="Time to answer")).to_be_visible()


def test_quantiles_are_those_of_prometheus(page: Page) -> None:
    buckets = [[0.1, 2], [0.2, 6], [1.0, 8], ["Infinity", 8]]
    script = """async (buckets) => {
        const { quantile } = await import("/page/samples.js");
        return [0.25, 0.5, 0.95].map((share) => quantile(buckets.map(([bound, count]) => [Number(bound), count]), share));
    }"""
    assert page.evaluate(script, buckets) == pytest.approx([0.1, 0.15, 0.2 + 0.8 * 1.6 / 2])


COURSE = """async (readings) => {
    const { Course } = await import("/page/course.js");
    const { parse } = await import("/page/samples.js");
    const course = new Course();
    for (const [moment, text] of readings) course.add(moment, parse(text));
    return course.points();
}"""


def exposed(counts: dict[tuple[str, str, str], tuple[int, int]]) -> str:
    """Of each (route, method, status) how many requests took at most 0.1 s, and how many there were."""
    lines = []
    for (route, method, status), (quick, total) in counts.items():
        labels = f'route="{route}",method="{method}",status="{status}"'
        for bound, count in (("0.1", quick), ("+Inf", total)):
            lines.append(f'recsys_request_seconds_bucket{{le="{bound}",{labels}}} {count}')
    return "\n".join(lines)


def test_a_course_is_what_happened_between_two_readings(page: Page) -> None:
    lists, model = ("/v1/recommend", "POST", "200"), ("/v1/model", "GET", "200")
    failed, refused = ("/v1/recommend", "POST", "503"), ("/v1/recommend", "POST", "429")
    probe, other = ("/readyz", "GET", "200"), ("none", "GET", "404")
    readings = [
        (0, exposed({lists: (10, 10), probe: (5, 5)})),
        (10_000, exposed({lists: (25, 30), failed: (0, 5), refused: (5, 5), probe: (95, 95)})),
        (20_000, exposed({lists: (25, 30), failed: (0, 5), refused: (5, 5), other: (9, 9)})),
        (30_000, exposed({model: (20, 20)})),  # the process began anew
    ]
    first, quiet, anew = page.evaluate(COURSE, readings)
    assert (first["rate"], first["refused"], first["failed"]) == (3.0, 0.5, 0.5)
    assert first["p50"] == pytest.approx(0.1 * 15 / 20)  # 20 of 30 within 0.1 s, evenly
    assert (quiet["rate"], quiet["p50"]) == (0, None) or quiet["p50"] != quiet["p50"]
    assert anew["rate"] == 2.0
