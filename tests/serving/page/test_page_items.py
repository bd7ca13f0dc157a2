"""An item's page, and the filters that lead to it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from browsers import fresh_page
from pages import choose_user, listed, rows, shown, until
from servers import ask, running
from serving.settings import Settings
from worlds import ITEMS, make_contents_with_genres, write_world

PICTURES = "https://pictures.example"
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15"
    b"\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00"
    b"IEND\xaeB`\x82"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose items have pictures, addresses that try to run, and years."""
    contents = make_contents_with_genres()
    places = range(ITEMS)
    table = contents.item_table.with_columns(
        image=pl.Series([f"{PICTURES}/{place}.png" for place in places]),
        page=pl.Series(
            ["javascript:alert(1)" if place else "https://shop.example/0" for place in places]
        ),
        year=pl.Series(np.array([1990 + place % 20 for place in places])),
    )
    separators = {**contents.separators, "year": "|"}
    world = replace(contents, item_table=table, separators=separators)
    return write_world(tmp_path_factory.mktemp("shop"), world)


@pytest.fixture
def visit(browser: BrowserContext, shop: Path) -> Iterator[Page]:
    with running(Settings(shop)) as address, fresh_page(browser) as (page, heard):
        page.goto(address)
        expect(rows(page)).to_have_count(10)
        yield page
        assert [one for one in heard.complaints if "404" not in one] == []


def test_a_click_opens_an_item_and_back_returns_to_the_same_list(page: Page, address: str) -> None:
    choose_user(page)
    before = shown(page)
    _, item = ask(f"{address}/v1/items/{before[0]}")
    rows(page).first.get_by_role("link").click()
    expect(page.get_by_role("heading", name=item["title"])).to_be_visible()
    view = page.locator("#view-item")
    expect(view).to_contain_text("Can be recommended")
    expect(view.get_by_role("link", name=item["attributes"]["genres"])).to_be_visible()
    similar = view.get_by_role("list", name="Similar items").locator("[data-item]")
    ids = similar.evaluate_all("all => all.map(one => one.dataset.item)")
    assert ids == [one["id"] for one in ask(f"{address}/v1/similar/{before[0]}")[1]["items"]]
    page.go_back()
    until(page, before)


def test_who_had_an_item_is_told_by_behaviour_and_by_name(page: Page, address: str) -> None:
    page.goto(f"{address}/#item?id=i05")
    _, item = ask(f"{address}/v1/items/i05")
    counts = page.get_by_role("list", name="Users who had it", exact=True)
    for behavior in ("view", "buy"):
        row = counts.get_by_role("listitem").filter(has_text=behavior)
        expect(row).to_contain_text(f"{item['popularity'][behavior]} of 30")
    people = page.get_by_role("list", name="Some users who had it").get_by_role("link")
    had = []
    for user in ask(f"{address}/v1/users?k=30")[1]["users"]:
        events = ask(f"{address}/v1/users/{user}")[1]["events"]
        if any(event["item"] == "i05" for event in events):
            had.append(user)
    expect(people).to_have_text(had[:12])
    people.first.click()
    until(page, listed(address, {"user": had[0]}))


def test_a_value_of_an_item_leads_to_the_items_that_have_it(page: Page, address: str) -> None:
    page.goto(f"{address}/#item?id=i00")
    genre = ask(f"{address}/v1/items/i00")[1]["attributes"]["genres"]
    page.locator("#view-item").get_by_role("link", name=genre).click()
    until(page, listed(address, {}, filters={"genres": [genre]}))
    expect(page.locator("#rules-count")).to_have_text("1 in use")


def test_an_item_is_added_to_the_history_from_its_page(page: Page, address: str) -> None:
    page.goto(f"{address}/#item?id=i05")
    page.get_by_role("button", name="Add to the history").click()
    until(page, listed(address, {"history": [{"item": "i05", "behavior": "buy"}]}))


def test_an_item_that_is_not_there_is_told_calmly(page: Page, address: str) -> None:
    page.goto(f"{address}/#item?id=nothing")
    expect(page.get_by_text("knows no item “nothing”")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_empty()


def test_pictures_come_from_nowhere_unless_told_and_stand_as_links(visit: Page) -> None:
    asked: list[str] = []
    visit.on("request", lambda request: asked.append(request.url))
    rows(visit).first.get_by_role("link").click()
    link = visit.locator("#view-item").get_by_role("link", name=PICTURES)
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    assert visit.locator("img").count() == 0
    assert not [url for url in asked if PICTURES in url]


def test_an_address_that_would_run_is_never_a_link(visit: Page) -> None:
    visit.goto(visit.url.split("#")[0] + "#item?id=i07")
    expect(visit.locator("#view-item dd", has_text="javascript:alert(1)")).to_be_visible()
    assert visit.locator("a[href^='javascript']").count() == 0


def test_pictures_of_a_host_that_was_named_are_shown(browser: BrowserContext, shop: Path) -> None:
    with (
        running(Settings(shop, images=(PICTURES,))) as address,
        fresh_page(browser) as (page, heard),
    ):

        def give(route: Route) -> None:
            assert "referer" not in route.request.headers
            route.fulfill(body=PIXEL, content_type="image/png")

        page.route(f"{PICTURES}/**", give)
        page.goto(f"{address}/#item?id=i07")
        picture = page.get_by_role("img", name="Picture of")
        expect(picture).to_have_js_property("naturalWidth", 1)
        assert [one for one in heard.complaints if "404" not in one] == []


def test_values_are_searched_counted_and_numbers_in_their_order(visit: Page) -> None:
    visit.locator("summary", has_text="year").click()
    years = visit.get_by_role("group", name="year")
    labels = years.locator("label").all_inner_texts()
    assert [label.split(",")[0].strip() for label in labels] == [f"{2009 - at}" for at in range(12)]
    expect(years.locator("label").first).to_contain_text("2 items")
    visit.get_by_role("button", name="Show 8 more values").click()
    expect(years.get_by_role("checkbox")).to_have_count(20)
    visit.get_by_label("Search the values of year").fill("199")
    expect(years.get_by_role("checkbox")).to_have_count(10)
    years.get_by_label("1990").check()
    expect(visit.locator("#rules-count")).to_have_text("1 in use")
    visit.get_by_label("Search the values of year").fill("nineteen")
    expect(years.get_by_role("checkbox")).to_have_count(1)  # what is chosen stays in sight
    expect(visit.get_by_text("No value of year holds “nineteen”")).to_be_visible()
