"""The page for everybody: by keyboard, read aloud, in light and dark, on a narrow screen."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from pages import choose_user, faults, listed, rows, shown, until

WIDTHS = (320, 768, 1280)
VIEWS = {
    "nobody": "",
    "user": "#recommend?user=u04",
    "users": "#recommend?user=u04&against=user&other=u07",
    "dials": "#recommend?user=u04&against=dials&other-popularity=0.5&other-diversity=0",
    "empty": "#recommend?user=u04&only.genres=drama&seen=in&k=5",
    "item": "#item?id=i05",
    "unknown": "#item?id=nothing",
    "bundles": "#bundles",
    "report": "#report",
    "live": "#live",
}


def test_everything_can_be_done_by_keyboard(page: Page, address: str) -> None:
    keys = page.keyboard
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab_to(page, page.get_by_label("User", exact=True))
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
    assert page.evaluate("document.activeElement.closest('.content') !== null"), (
        "the focus stays in the list"
    )


def tab_to(page: Page, wanted: Locator, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{most} tabs did not reach {wanted}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_while_things_are_open(page: Page, shots: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    choose_user(page)
    page.get_by_role("button", name="Add").first.click()
    expect(page.get_by_role("heading", name="with 1 item more")).to_be_visible()
    page.locator("summary", has_text="genres").click()
    page.get_by_role("button", name="Why").first.click()
    expect(page.locator(".graph")).to_be_visible()
    page.screenshot(path=shots / f"{scheme}.png", full_page=True)
    assert faults(page) == []
    page.get_by_label("Add an item to the history").fill("film")
    expect(page.get_by_role("option").first).to_be_visible()
    assert faults(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    colours = {
        name: colour(page, name)
        for name in ("ink", "soft", "main", "good", "bad", "on-main", "paper", "panel", "tint")
    }
    assert (luminance(colours["paper"]) > 0.5) == (scheme == "light")
    for text in ("ink", "soft", "main", "good", "bad"):
        for ground in ("paper", "panel"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["on-main"], colours["main"]) >= 4.5
    assert contrast(colours["main"], colours["tint"]) >= 4.5


def colour(page: Page, name: str) -> list[int]:
    script = (
        "name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()"
    )
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


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_and_has_no_fault(
    page: Page, address: str, shots: Path, width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for name, view in VIEWS.items():
        page.goto(f"{address}/{view}")
        expect(page.locator("#results-area")).to_have_attribute("aria-busy", "false")
        expect(page.locator("section:not([hidden]) .waiting")).to_have_count(0)
        if name in ("user", "users"):
            page.get_by_role("button", name="Why").first.click()
            expect(page.locator(".graph")).to_be_visible()
        page.screenshot(path=shots / f"{name}-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert faults(page) == [], name


def test_edges_begin_where_shares_end_on_a_narrow_screen(page: Page) -> None:
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    choose_user(page)
    page.get_by_role("button", name="Why").first.click()
    expect(page.locator(".graph")).to_be_visible()
    edges = page.locator(".graph svg").bounding_box()
    shares = [one.bounding_box() for one in page.locator(".graph li .number").all()]
    assert edges
    assert all(one and one["x"] + one["width"] <= edges["x"] for one in shares)


def test_what_came_of_a_choice_is_in_sight_while_choosing(page: Page) -> None:
    page.set_viewport_size({"width": WIDTHS[0], "height": 700})
    page.reload()
    expect(rows(page)).to_have_count(10)
    page.locator("#rules > summary").click()
    page.locator("summary", has_text="genres").click()
    page.get_by_label("drama").focus()
    button = page.get_by_role("button", name="Show the list")
    expect(button).to_be_in_viewport()
    button.click()
    expect(page.locator("#results")).to_be_focused()
    expect(page.locator("#results")).to_be_in_viewport()


def test_the_number_of_items_stays_in_sight_beside_long_filters(page: Page) -> None:
    page.set_viewport_size({"width": WIDTHS[2], "height": 420})
    page.get_by_label("Hold the list against").scroll_into_view_if_needed()
    expect(page.locator("#status")).to_be_in_viewport()


def test_items_bundles_and_dials_by_keyboard_alone(page: Page, address: str) -> None:
    keys = page.keyboard
    tab_to(page, page.get_by_label("User", exact=True))
    keys.type("u04")
    keys.press("Enter")
    until(page, listed(address, {"user": "u04"}))
    tab_to(page, page.get_by_label("Popularity", exact=True))
    keys.press("ArrowRight")
    expect(page.locator("#popularity-value")).to_have_text("+0.02")
    until(page, listed(address, {"user": "u04"}, popularity=0.02))
    tab_to(page, rows(page).first.get_by_role("link"))
    keys.press("Enter")
    expect(page.locator("#item-heading")).to_be_focused()
    expect(page.get_by_role("list", name="Similar items")).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Add to the history"))
    keys.press("Enter")
    expect(page.get_by_role("list", name="History").get_by_role("listitem")).to_have_count(1)
    page.locator("nav").get_by_role("link", name="Bundles").focus()
    keys.press("Enter")
    expect(page.locator("#bundles-heading")).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Make it live"))
    keys.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Make it live")).to_be_focused()
    assert faults(page) == []
    keys.press("Escape")
    expect(dialog).to_have_count(0)
