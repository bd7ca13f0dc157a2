"""For whom: any id, and what is known of a person."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from browsers import fresh_page
from pages import choose_user, listed, rows, until
from servers import ask, running
from serving.settings import Settings


@pytest.fixture
def live(browser: BrowserContext, run_path: Path, tmp_path: Path) -> Iterator[tuple[Page, str]]:
    """The page of a service that takes events, and its address."""
    settings = Settings(run_path / "bundle", run=run_path, events=tmp_path / "events.jsonl")
    with running(settings) as address, fresh_page(browser) as (page, _):
        page.goto(address)
        expect(rows(page)).to_have_count(10)
        yield page, address


@pytest.mark.parametrize("key", ["Enter", "Tab"])
def test_an_id_that_is_typed_is_taken_at_once(page: Page, address: str, key: str) -> None:
    field = page.get_by_label("User", exact=True)
    field.focus()
    page.keyboard.type("u04")
    page.keyboard.press(key)
    until(page, listed(address, {"user": "u04"}))
    expect(field).to_have_value("u04")
    expect(page.get_by_role("heading", name="Recommendations for user u04")).to_be_visible()


def test_an_empty_field_is_a_visitor_again(page: Page, address: str) -> None:
    choose_user(page)
    page.get_by_label("User", exact=True).fill("")
    page.keyboard.press("Enter")
    until(page, listed(address, {}))


def test_a_user_known_by_live_events_alone_can_be_chosen(live: tuple[Page, str]) -> None:
    page, address = live
    event = {"user": "newbie", "item": "i03", "behavior": "view"}
    ask(f"{address}/v1/events", {"events": [event]})
    page.get_by_label("User", exact=True).fill("newbie")
    page.get_by_role("option", name="newbie").click()
    until(page, listed(address, {"user": "newbie"}))
    person = page.get_by_role("region", name="User newbie")
    expect(person).to_contain_text("has not learned from this user yet; 1 event came in since")
    event_line = person.get_by_role("listitem")
    expect(event_line).to_contain_text("view, ")
    expect(event_line).to_contain_text("new")


def test_of_somebody_unknown_the_page_says_so(live: tuple[Page, str]) -> None:
    page, address = live
    page.get_by_label("User", exact=True).fill("who-is-it")
    page.keyboard.press("Enter")
    until(page, listed(address, {"user": "who-is-it"}))
    expect(page.get_by_role("region", name="User who-is-it")).to_contain_text("Nothing")


def test_the_history_stands_beside_the_list(page: Page, address: str) -> None:
    choose_user(page)
    _, known = ask(f"{address}/v1/users/u04")
    events = page.get_by_role("list", name="Events, the latest first").get_by_role("listitem")
    titles = [event.get("title", event["item"]) for event in known["events"]]
    expect(events).to_have_count(min(8, len(titles)))
    assert events.locator("a").all_inner_texts() == titles[:8]
    expect(events.first).to_contain_text(known["events"][0]["behavior"])
    person = page.get_by_role("region", name="User u04")
    boxes = [
        one.bounding_box() for one in (page.get_by_role("list", name="Recommendations"), person)
    ]
    assert boxes[0] and boxes[1]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


def test_all_events_can_be_shown(page: Page, address: str) -> None:
    users = ask(f"{address}/v1/users?k=30")[1]["users"]
    counts = {user: len(ask(f"{address}/v1/users/{user}")[1]["events"]) for user in users}
    busiest = max(counts, key=lambda user: counts[user])
    assert counts[busiest] > 8
    choose_user(page, busiest)
    page.get_by_role("button", name=f"Show {counts[busiest] - 8} more").click()
    events = page.get_by_role("list", name="Events, the latest first").get_by_role("listitem")
    expect(events).to_have_count(counts[busiest])
    expect(events.nth(8).get_by_role("link")).to_be_focused()
