"""The page at `/` in a real browser: what people do with it."""

import json
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from browsers import fresh_page
from pages import HOSTILE, choose_user, listed, number, rows, shown, until
from servers import ask, running
from serving.keys import new_key
from serving.settings import Settings


def test_nobody_sees_what_is_popular_and_a_user_their_own_list(
    page: Page, address: str, shots: Path
) -> None:
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
    widths = graph.locator("path").evaluate_all(
        "all => all.map(one => Number(one.getAttribute('stroke-width')))"
    )
    assert sum(shares) == pytest.approx(score, abs=0.0005 * (len(shares) + 1))
    assert np.argsort(widths)[-1] == np.argmax(np.abs(shares))
    page.screenshot(path=shots / "reasons.png", full_page=True)
    why.click()
    expect(graph).to_be_hidden()


def test_filters_keep_items_with_the_chosen_values(page: Page, address: str) -> None:
    choose_user(page)
    page.get_by_text("genres").click()
    page.get_by_label("drama").check()
    until(page, listed(address, {"user": "u04"}, filters={"genres": ["drama"]}))
    page.get_by_role("button", name="Reset filters and options").click()
    until(page, listed(address, {"user": "u04"}))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("popularity", "End", 1), ("popularity", "Home", -1), ("diversity", "End", 1)],
)
def test_options_change_the_list(
    page: Page, address: str, name: str, key: str, value: float
) -> None:
    choose_user(page)
    page.get_by_label(name.capitalize()).press(key)
    until(page, listed(address, {"user": "u04"}, **{name: value}))


def test_reasons_at_a_dial_name_its_share(page: Page, address: str) -> None:
    choose_user(page)
    page.get_by_label("Popularity").press("End")
    until(page, listed(address, {"user": "u04"}, popularity=1))
    page.get_by_role("button", name="Why").first.click()
    _, why = ask(f"{address}/v1/explain", {"user": "u04", "item": shown(page)[0], "popularity": 1})
    line = (
        page.get_by_role("list", name="What adds to the score")
        .get_by_role("listitem")
        .filter(has_text="as dialled")
    )
    expect(line).to_contain_text(f"{why['popularity']:.3f}")


def test_what_was_seen_can_be_let_in(page: Page, address: str) -> None:
    choose_user(page)
    page.get_by_label("Leave out what was seen").uncheck()
    page.get_by_label("Length of the list").select_option("20")
    until(page, listed(address, {"user": "u04"}, k=20, exclude_seen=False))


def test_a_visitor_is_built_by_clicking_and_taken_apart_again(
    page: Page, address: str, shots: Path
) -> None:
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
    both = [
        side.locator("[data-item]").evaluate_all("all => all.map(one => one.dataset.item)")
        for side in sides.all()
    ]
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
    removed = (
        sides.nth(0).locator(".removed").evaluate_all("all => all.map(one => one.dataset.item)")
    )
    assert set(removed) == set(live) - set(both[1])
    expect(page.locator("#status")).to_contain_text(
        f"{len(set(live) & set(both[1]))} items in both lists"
    )
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
        window.fetch = async (path, given) => {
            if (path !== "/v1/recommend") return real(path, given);
            window.fetch = real;
            return new Response(JSON.stringify(problem), { status: 429 });
        };
    }"""
    page.evaluate(script, problem)
    page.get_by_label("Length of the list").select_option("20")
    expect(page.get_by_role("alert")).to_contain_text("asked too often")
    expect(page.get_by_role("alert")).to_contain_text("Ask less often")
    page.get_by_label("Length of the list").select_option("5")
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_key_is_asked_for_and_kept_in_the_tab(
    browser: BrowserContext, run_path: Path, tmp_path: Path
) -> None:
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
        assert json.loads(page.evaluate("JSON.stringify({...sessionStorage})")) == {
            "recsys.key": token
        }
        assert page.evaluate("localStorage.length") == 0
        page.get_by_role("button", name="Forget the API key").click()
        expect(dialog).to_be_visible()
        assert all("status of 40" in one for one in heard.complaints)
        assert heard.hosts == {urlsplit(address).netloc}


def test_another_bundle_that_answers_is_told_and_offered(
    browser: BrowserContext, run_path: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(run_path, tmp_path / "run", symlinks=True))
    live = (run / "bundle").resolve().name
    [other] = [path.name for path in (run / "bundles").iterdir() if path.name != live]
    with (
        running(Settings(run / "bundle", run=run)) as address,
        fresh_page(browser) as (page, heard),
    ):
        page.goto(address)
        page.get_by_text("genres").click()
        page.get_by_label("drama").check()
        ask(f"{address}/v1/admin/promote", {"bundle": other})
        choose_user(page)
        expect(page.locator("#bundle")).to_contain_text(other)
        until(page, listed(address, {"user": "u04"}))
        expect(page.get_by_label("With another bundle").get_by_role("option")).to_have_text(
            ["none", re.compile(live)]
        )
        assert heard.complaints == []


def test_a_service_over_one_bundle_says_what_it_lacks(
    browser: BrowserContext, run_path: Path
) -> None:
    with (
        running(Settings((run_path / "bundle").resolve())) as address,
        fresh_page(browser) as (page, _),
    ):
        page.goto(address)
        expect(rows(page)).to_have_count(10)
        expect(page.locator("#other-note")).to_contain_text("one bundle, not a run")
        page.get_by_role("link", name="Report").click()
        expect(page.get_by_role("alert")).to_contain_text("folder of a finished run")
        page.get_by_role("button", name="Dismiss").click()
        expect(page.get_by_role("alert")).to_be_empty()
