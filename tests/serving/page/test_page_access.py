"""The page for everybody: by keyboard, read aloud, in light and dark, on a narrow screen."""

from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from pages import choose_user, listed, rows, shown, until

NARROW = {"width": 360, "height": 780}


def test_everything_can_be_done_by_keyboard(page: Page, address: str) -> None:
    keys = page.keyboard
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
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
    assert page.evaluate("document.activeElement.closest('.content') !== null"), (
        "the focus stays in the list"
    )


def tab_to(page: Page, wanted: Locator, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{most} tabs did not reach {wanted}")


def faults(page: Page) -> list[str]:
    """What axe finds wrong with the page as it stands: names, roles, labels, contrast, order of
    headings.
    """
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(page: Page, shots: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    choose_user(page)
    page.get_by_role("button", name="Add").first.click()
    page.get_by_text("genres").click()
    page.get_by_role("button", name="Why").first.click()
    expect(page.locator(".graph")).to_be_visible()
    page.screenshot(path=shots / f"{scheme}.png", full_page=True)
    assert faults(page) == []
    page.get_by_label("Add an item to the history").fill("film")
    expect(page.get_by_role("option").first).to_be_visible()
    assert faults(page) == []
    page.get_by_label("With another bundle").select_option(index=1)
    expect(page.locator(".pair")).to_be_visible()
    assert faults(page) == []
    for view in ("Report", "Live"):
        page.get_by_role("link", name=view, exact=True).click()
        expect(page.get_by_role("table")).to_be_visible()
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


def test_nothing_overflows_a_narrow_screen(page: Page, shots: Path) -> None:
    page.set_viewport_size(NARROW)
    choose_user(page)
    page.get_by_role("button", name="Why").first.click()
    expect(page.locator(".graph")).to_be_visible()
    edges = page.locator(".graph svg").bounding_box()
    shares = [one.bounding_box() for one in page.locator(".graph li .number").all()]
    assert edges
    assert all(one and one["x"] + one["width"] <= edges["x"] for one in shares), (
        "edges begin where shares end"
    )
    page.screenshot(path=shots / "narrow-reasons.png", full_page=True)
    page.get_by_label("With another bundle").select_option(index=1)
    expect(page.locator(".pair")).to_be_visible()
    for view in ("Report", "Live", "Recommend"):
        page.get_by_role("link", name=view, exact=True).click()
        page.screenshot(path=shots / f"narrow-{view.lower()}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
