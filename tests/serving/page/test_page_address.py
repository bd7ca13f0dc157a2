"""The address holds what is shown: reload, back, forward and links work, and no secret is in it."""

from urllib.parse import parse_qs

from playwright.sync_api import BrowserContext, Page, expect

from browsers import fresh_page
from pages import choose_user, listed, shown, until


def parameters(page: Page) -> dict[str, list[str]]:
    return parse_qs(page.evaluate("location.hash").partition("?")[2], keep_blank_values=True)


def test_a_reload_and_a_link_show_the_same(
    browser: BrowserContext, page: Page, address: str
) -> None:
    choose_user(page)
    page.get_by_role("button", name="Add").first.click()
    page.locator("summary", has_text="genres").click()
    page.get_by_label("drama").check()
    page.get_by_label("Leave out what was seen").uncheck()
    page.get_by_label("Popularity", exact=True).press("End")
    page.get_by_label("Length of the list").select_option("5")
    added = parameters(page)["add"]
    history = [{"item": added[0], "behavior": "buy"}]
    rules = {"filters": {"genres": ["drama"]}, "exclude_seen": False, "popularity": 1, "k": 5}
    wanted = listed(address, {"user": "u04", "history": history}, **rules)
    until(page, wanted)
    assert parameters(page) == {
        "user": ["u04"],
        "add": added,
        "as": ["buy"],
        "only.genres": ["drama"],
        "popularity": ["1"],
        "k": ["5"],
        "seen": ["in"],
    }
    page.reload()
    until(page, wanted)
    with fresh_page(browser) as (other, _):
        other.goto(page.url)
        until(other, wanted)
        expect(other.get_by_label("User", exact=True)).to_have_value("u04")
        expect(other.get_by_role("list", name="History")).to_contain_text("Film")
        expect(other.get_by_label("Popularity", exact=True)).to_have_value("1")
        expect(other.locator("#popularity-value")).to_have_text("+1")
        expect(other.get_by_label("Length of the list")).to_have_value("5")
        expect(other.get_by_label("Leave out what was seen")).not_to_be_checked()
        other.locator("summary", has_text="genres").click()
        expect(other.get_by_label("drama")).to_be_checked()


def test_back_and_forward_go_through_what_was_asked(page: Page, address: str) -> None:
    nobody = shown(page)
    choose_user(page)
    one = shown(page)
    page.get_by_label("User", exact=True).fill("u07")
    page.keyboard.press("Enter")
    until(page, listed(address, {"user": "u07"}))
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_role("heading", name="Live figures")).to_be_visible()
    page.go_back()
    until(page, listed(address, {"user": "u07"}))
    page.go_back()
    until(page, one)
    expect(page.get_by_label("User", exact=True)).to_have_value("u04")
    page.go_back()
    until(page, nobody)
    page.go_forward()
    until(page, one)


def test_the_link_to_the_list_leads_back_to_the_same_question(page: Page) -> None:
    choose_user(page)
    one = shown(page)
    page.get_by_role("link", name="Report").click()
    page.get_by_role("link", name="Recommend").click()
    until(page, one)


def test_what_an_address_says_wrongly_is_at_rest(page: Page, address: str) -> None:
    page.goto(f"{address}/#recommend?popularity=9&diversity=x&k=-3&against=nothing&only.color=red")
    until(page, listed(address, {}))
    expect(page.locator("#popularity-value")).to_have_text("0")
