"""The page at `/` in a real browser: what people do with it."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from pages import HOSTILE, choose_user, listed, number, rows, shown, until
from servers import ask


def test_nobody_sees_what_is_popular_and_a_user_their_own_list(
    page: Page, address: str, shots: Path
) -> None:
    assert shown(page) == listed(address, {})
    expect(page.get_by_role("status").filter(has_text="most popular")).to_be_visible()
    choose_user(page)
    assert shown(page) == listed(address, {"user": "u04"})
    expect(page.locator("#status")).to_contain_text("learned of this user")
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
    page.locator("summary", has_text="genres").click()
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
    page.get_by_label(name.capitalize(), exact=True).press(key)
    until(page, listed(address, {"user": "u04"}, **{name: value}))


def test_reasons_at_a_dial_name_its_share(page: Page, address: str) -> None:
    choose_user(page)
    page.get_by_label("Popularity", exact=True).press("End")
    until(page, listed(address, {"user": "u04"}, popularity=1))
    page.get_by_role("button", name="Why").first.click()
    _, why = ask(f"{address}/v1/explain", {"user": "u04", "item": shown(page)[0], "popularity": 1})
    line = (
        page.get_by_role("list", name="What adds to the score")
        .get_by_role("listitem")
        .filter(has_text="its popularity")
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
    expect(page.locator("#status")).to_contain_text("from the items in the history")
    page.screenshot(path=shots / "visitor.png", full_page=True)
    page.get_by_role("list", name="History").get_by_role("button").first.click()
    until(page, listed(address, {"history": both[1:]}))
    page.get_by_role("button", name="Start again").click()
    until(page, listed(address, {}))


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
            if (!path.endsWith("/v1/recommend")) return real(path, given);
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
