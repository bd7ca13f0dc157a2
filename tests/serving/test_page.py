"""The page at `/` in a real browser: what people do with it, by mouse and by keyboard."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from browsers import browsing, fresh_page, screenshots
from recsys.core.artefacts import switch_link, write_json
from recsys.core.tables import TITLE
from recsys.evaluate.document import Comparison, ModelRow, Report, RunFacts, Value, Verdict
from recsys.index.bundle import write_bundle
from recsys.index.contents import Contents
from servers import ask, running
from serving.keys import new_key
from serving.settings import Settings
from worlds import make_contents_with_genres

HOSTILE = "<img src=x onerror=alert(1)>"
PATIENCE_SECONDS = 10
NARROW = {"width": 360, "height": 780}


def make_films() -> Contents:
    contents = make_contents_with_genres()
    titles = contents.item_table[TITLE].to_list()
    titles[3] = HOSTILE
    return replace(contents, item_table=contents.item_table.with_columns(title=np.array(titles)))


def make_other(films: Contents) -> Contents:
    """The same films to somewhat different users."""
    noise = 0.3 * np.random.default_rng(0).normal(size=films.embeddings.users.shape).astype(np.float32)
    return replace(films, embeddings=replace(films.embeddings, users=films.embeddings.users + noise))


def make_report() -> Report:
    rows = [
        ModelRow(
            name=name,
            title=name,
            role=role,
            validation=value,
            metrics={"ndcg@10": Value(value=value, low=0.1, high=0.3)},
        )
        for name, role, value in (("attention", "model", 0.21), ("ease", "baseline", 0.19))
    ]
    found = Comparison(
        other="ease", metric="ndcg@10", difference=0.02, low=0.01, high=0.03, p=0.01, p_holm=0.01, finding="better"
    )
    return Report(
        headline="Graph attention finds more than EASE.",
        facts=RunFacts(data="films.csv", split="global_time", time_safe=True, users=30, items=40, warm_users=20),
        main="attention",
        deciding="ndcg@10",
        draws=10,
        models=rows,
        comparisons=[found],
        verdict=Verdict(winner="attention", decided_on="validation", never_worse=True, line="Good to serve."),
    )


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two bundles, the first of them live, and a report."""
    run, films = tmp_path_factory.mktemp("run"), make_films()
    live = write_bundle(run / "bundles", films)
    write_bundle(run / "bundles", make_other(films))
    switch_link(run / "bundle", live)
    make_report().save(run / "report" / "report.json")
    (run / "report" / "report.html").write_text("<!doctype html><title>Report</title><p>All of it", encoding="utf-8")
    write_json(run / "manifest.json", {})
    return run


@pytest.fixture(scope="module")
def address(run_path: Path) -> Iterator[str]:
    with running(Settings(run_path / "bundle", run=run_path)) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with browsing(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return screenshots(tmp_path_factory.getbasetemp() / "screenshots")


@pytest.fixture
def page(browser: BrowserContext, address: str) -> Iterator[Page]:
    """The page with its first list; it may neither complain nor ask another host."""
    with fresh_page(browser) as (page, heard):
        page.goto(address)
        expect(rows(page)).to_have_count(10)
        yield page
        assert heard.complaints == []
        assert heard.hosts == {urlsplit(address).netloc}


def rows(page: Page) -> Locator:
    return page.get_by_role("list", name="Recommendations").locator("[data-item]")


def shown(page: Page) -> list[str]:
    """Ids in the list, once it is not being asked for."""
    expect(page.locator("#results-area")).to_have_attribute("aria-busy", "false")
    return rows(page).evaluate_all("all => all.map(one => one.dataset.item)")


def listed(address: str, wanted: dict, **rules: object) -> list[str]:
    """What the API gives for the same question."""
    found = ask(f"{address}/v1/recommend", {"requests": [wanted], "k": 10, **rules})[1]
    return [one["id"] for one in found["answers"][0]["items"]]


def choose_user(page: Page, user: str = "u04") -> None:
    page.get_by_label("Known user").fill(user)
    page.get_by_role("option", name=user).click()
    expect(page.get_by_role("heading", name=f"Recommendations for user {user}")).to_be_visible()


def until(page: Page, wanted: list[str]) -> None:
    """The list becomes this one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while shown(page) != wanted and time.monotonic() < deadline:
        page.wait_for_timeout(20)
    assert shown(page) == wanted


def test_nobody_sees_what_is_popular_and_a_user_their_own_list(page: Page, address: str, shots: Path) -> None:
    assert shown(page) == listed(address, {})
    expect(page.get_by_role("status").filter(has_text="most popular")).to_be_visible()
    choose_user(page)
    assert shown(page) == listed(address, {"user": "u04"})
    expect(page.locator("#status")).to_contain_text("trained vector")
    page.screenshot(path=shots / "list.png", full_page=True)


def test_reasons_are_drawn_and_add_up_to_the_score(page: Page, shots: Path) -> None:
    choose_user(page)
    why = page.get_by_role("button", name="Why").first
    why.click()
    expect(why).to_have_attribute("aria-expanded", "true")
    graph = page.locator(".graph")
    causes = graph.get_by_role("list", name="What adds to the score").get_by_role("listitem")
    shares = [number(text) for text in causes.locator(".number").all_inner_texts()]
    score = number(rows(page).first.locator(".score .number").inner_text())
    widths = graph.locator("path").evaluate_all("all => all.map(one => Number(one.getAttribute('stroke-width')))")
    assert sum(shares) == pytest.approx(score, abs=0.0005 * (len(shares) + 1))
    assert np.argsort(widths)[-1] == np.argmax(np.abs(shares))
    page.screenshot(path=shots / "reasons.png", full_page=True)
    why.click()
    expect(graph).to_be_hidden()


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def test_filters_keep_items_with_the_chosen_values(page: Page, address: str) -> None:
    choose_user(page)
    page.get_by_text("genres").click()
    page.get_by_label("drama").check()
    until(page, listed(address, {"user": "u04"}, filters={"genres": ["drama"]}))
    page.get_by_role("button", name="Reset filters and dials").click()
    until(page, listed(address, {"user": "u04"}))


@pytest.mark.parametrize(
    ("name", "key", "value"), [("popularity", "End", 1), ("popularity", "Home", -1), ("diversity", "End", 1)]
)
def test_dials_change_the_list(page: Page, address: str, name: str, key: str, value: float) -> None:
    choose_user(page)
    page.get_by_label(name.capitalize()).press(key)
    until(page, listed(address, {"user": "u04"}, **{name: value}))


def test_what_was_seen_can_be_let_in(page: Page, address: str) -> None:
    choose_user(page)
    page.get_by_label("Leave out what was seen").uncheck()
    page.get_by_label("Length of the list").select_option("20")
    until(page, listed(address, {"user": "u04"}, k=20, exclude_seen=False))


def test_a_visitor_is_built_by_clicking_and_taken_apart_again(page: Page, address: str, shots: Path) -> None:
    first = shown(page)[0]
    page.get_by_role("button", name="Add").first.click()
    until(page, listed(address, {"history": [{"item": first, "behavior": "buy"}]}))
    page.get_by_label("Add an item to the history").fill("film 11")
    page.get_by_role("option", name="Film 11").click()
    both = [{"item": first, "behavior": "buy"}, {"item": "i11", "behavior": "buy"}]
    until(page, listed(address, {"history": both}))
    expect(page.locator("#status")).to_contain_text("encoded just now")
    page.screenshot(path=shots / "visitor.png", full_page=True)
    page.get_by_role("list", name="History").get_by_role("button").first.click()
    until(page, listed(address, {"history": both[1:]}))
    page.get_by_role("button", name="Start again").click()
    until(page, listed(address, {}))


def test_two_bundles_are_compared_side_by_side(page: Page, address: str, shots: Path) -> None:
    choose_user(page)
    live = listed(address, {"user": "u04"})
    page.get_by_label("With another bundle").select_option(index=1)
    sides = page.locator(".pair ol")
    expect(sides).to_have_count(2)
    both = [side.locator("[data-item]").evaluate_all("all => all.map(one => one.dataset.item)") for side in sides.all()]
    marks = dict(zip(both[1], sides.nth(1).locator(".mark").all_inner_texts(), strict=True))
    assert both[0] == live
    for place, item in enumerate(both[1]):
        moved = live.index(item) - place if item in live else None
        expected = (
            "added"
            if moved is None
            else "same place"
            if moved == 0
            else f"{'up' if moved > 0 else 'down'} {abs(moved)}"
        )
        assert expected in marks[item]
    removed = sides.nth(0).locator(".removed").evaluate_all("all => all.map(one => one.dataset.item)")
    assert set(removed) == set(live) - set(both[1])
    expect(page.locator("#status")).to_contain_text(f"{len(set(live) & set(both[1]))} items in both lists")
    page.screenshot(path=shots / "compare.png", full_page=True)


def test_the_report_and_the_live_figures_are_shown(page: Page, shots: Path) -> None:
    page.get_by_role("link", name="Report").click()
    expect(page.get_by_text("Graph attention finds more than EASE.")).to_be_visible()
    expect(page.get_by_role("row", name="ease 0.1900")).to_contain_text("better")
    page.screenshot(path=shots / "report.png", full_page=True)
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_role("row", name="POST /v1/recommend")).to_contain_text("ms")
    page.screenshot(path=shots / "live.png", full_page=True)


def test_the_full_report_opens_and_runs_nothing(browser: BrowserContext, page: Page) -> None:
    page.get_by_role("link", name="Report").click()
    with browser.expect_page() as opened:
        page.get_by_role("link", name="full report").click()
    expect(opened.value.get_by_text("All of it")).to_be_visible()
    opened.value.close()


def test_quantiles_are_those_of_prometheus(page: Page) -> None:
    buckets = [[0.1, 2], [0.2, 6], [1.0, 8], ["Infinity", 8]]
    script = """async (buckets) => {
        const { quantile } = await import("/page/live.js");
        return [0.25, 0.5, 0.95].map((share) => quantile(buckets.map(([bound, count]) => [Number(bound), count]), share));
    }"""
    assert page.evaluate(script, buckets) == pytest.approx([0.1, 0.15, 0.2 + 0.8 * 1.6 / 2])


def test_titles_are_text_whatever_they_hold(page: Page) -> None:
    page.get_by_label("Add an item to the history").fill("onerror")
    page.get_by_role("option", name=HOSTILE).click()
    expect(page.get_by_role("list", name="History")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0


def test_everything_can_be_done_by_keyboard(page: Page, address: str) -> None:
    keys = page.keyboard
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the recommendations")).to_be_focused()
    tab_to(page, page.get_by_label("Known user"))
    keys.type("u04")
    expect(page.get_by_role("option", name="u04")).to_be_visible()
    keys.press("ArrowDown")
    expect(page.get_by_role("option", name="u04")).to_have_attribute("aria-selected", "true")
    keys.press("Enter")
    until(page, listed(address, {"user": "u04"}))
    tab_to(page, page.get_by_role("button", name="Why").first)
    keys.press("Enter")
    expect(page.locator(".graph")).to_be_visible()
    second = rows(page).nth(1).get_by_role("button", name="Add")
    tab_to(page, second)
    item = shown(page)[1]
    keys.press("Enter")
    expect(page.get_by_role("list", name="History").get_by_role("listitem")).to_have_count(1)
    until(page, listed(address, {"user": "u04", "history": [{"item": item, "behavior": "buy"}]}))
    assert page.evaluate("document.activeElement.closest('.content') !== null"), "the focus stays in the list"


def tab_to(page: Page, wanted: Locator, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{most} tabs did not reach {wanted}")


NAMELESS = """() => [...document.querySelectorAll("input, select, button, a, table, dialog, ol, [role]")]
    .filter((one) => one.checkVisibility())
    .filter((one) => ![one.getAttribute("aria-label"), one.textContent.trim(), one.labels?.length, one.id === "problem",
        document.getElementById(one.getAttribute("aria-labelledby"))?.textContent].some(Boolean))
    .map((one) => one.outerHTML)"""


def test_every_control_has_a_name_and_every_id_is_one(page: Page) -> None:
    choose_user(page)
    page.get_by_text("genres").click()
    page.get_by_role("button", name="Why").first.click()
    expect(page.locator(".graph")).to_be_visible()
    for view in ("Recommend", "Report", "Live"):
        page.get_by_role("link", name=view, exact=True).click()
        assert page.evaluate(NAMELESS) == []
    assert page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)").count("status") == 1
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(page: Page, shots: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    choose_user(page)
    page.get_by_role("button", name="Why").first.click()
    expect(page.locator(".graph")).to_be_visible()
    page.screenshot(path=shots / f"{scheme}.png", full_page=True)
    colours = {
        name: colour(page, name) for name in ("ink", "soft", "main", "good", "bad", "on-main", "paper", "panel", "tint")
    }
    assert (luminance(colours["paper"]) > 0.5) == (scheme == "light")
    for text in ("ink", "soft", "main", "good", "bad"):
        for ground in ("paper", "panel"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["on-main"], colours["main"]) >= 4.5
    assert contrast(colours["main"], colours["tint"]) >= 4.5


def colour(page: Page, name: str) -> list[int]:
    script = "name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()"
    text = page.evaluate(script, name).removeprefix("#")
    return [int(text[at : at + 2], 16) for at in (0, 2, 4)]


def luminance(colour: list[int]) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = np.array(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: list[int], other: list[int]) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_nothing_overflows_a_narrow_screen(page: Page, shots: Path) -> None:
    page.set_viewport_size(NARROW)
    choose_user(page)
    page.get_by_role("button", name="Why").first.click()
    expect(page.locator(".graph")).to_be_visible()
    page.get_by_label("With another bundle").select_option(index=1)
    expect(page.locator(".pair")).to_be_visible()
    for view in ("Report", "Live", "Recommend"):
        page.get_by_role("link", name=view, exact=True).click()
        page.screenshot(path=shots / f"narrow-{view.lower()}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_a_refusal_is_shown_with_its_remedy_until_the_next_answer(page: Page) -> None:
    problem = {
        "type": "about:blank",
        "title": "x",
        "status": 429,
        "detail": "asked too often",
        "remedy": "Ask less often",
    }
    script = """async (problem) => {
        const real = window.fetch;
        window.fetch = async () => { window.fetch = real; return new Response(JSON.stringify(problem), { status: 429 }); };
    }"""
    page.evaluate(script, problem)
    page.get_by_label("Length of the list").select_option("20")
    expect(page.get_by_role("alert")).to_contain_text("asked too often")
    expect(page.get_by_role("alert")).to_contain_text("Ask less often")
    page.get_by_label("Length of the list").select_option("5")
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_key_is_asked_for_and_kept_in_the_tab(browser: BrowserContext, run_path: Path, tmp_path: Path) -> None:
    token, lines = new_key("manager", ["read"])
    (tmp_path / "keys.toml").write_text(lines, encoding="utf-8")
    settings = Settings(run_path / "bundle", run=run_path, keys=tmp_path / "keys.toml")
    with running(settings) as address, fresh_page(browser) as (page, heard):
        page.goto(address)
        dialog = page.get_by_role("dialog", name="API key")
        for key in ("wrong", token):
            dialog.get_by_label("Key").fill(key)
            dialog.get_by_role("button", name="Use this key").click()
            if key == "wrong":
                expect(dialog).to_contain_text("does not know that key")
        expect(rows(page)).to_have_count(10)
        expect(page.locator("#other-note")).to_contain_text("has no scope 'admin'")
        assert json.loads(page.evaluate("JSON.stringify({...sessionStorage})")) == {"recsys.key": token}
        assert page.evaluate("localStorage.length") == 0
        page.get_by_role("button", name="Forget the API key").click()
        expect(dialog).to_be_visible()
        assert all("status of 40" in one for one in heard.complaints)
        assert heard.hosts == {urlsplit(address).netloc}
