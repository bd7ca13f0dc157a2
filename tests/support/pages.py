"""What tests of the page look for on it."""

import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from patience import PATIENCE_SECONDS
from servers import ask

HOSTILE = "<img src=x onerror=alert(1)>"
"""A title that would run if it were taken for markup."""


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
    page.get_by_label("User", exact=True).fill(user)
    page.get_by_role("option", name=user).click()
    expect(page.get_by_role("heading", name=f"Recommendations for user {user}")).to_be_visible()


def until(page: Page, wanted: list[str]) -> None:
    """The list becomes this one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while shown(page) != wanted and time.monotonic() < deadline:
        page.wait_for_timeout(20)
    assert shown(page) == wanted


def faults(page: Page) -> list[str]:
    """What axe finds wrong with the page as it stands: names, roles, labels, contrast, order of
    headings.
    """
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]


def number(text: str) -> float:
    return float(text.replace("−", "-"))
