"""The run's bundles: which answers, how they differ, making another live."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from browsers import fresh_page
from pages import choose_user, listed, rows, until
from servers import ask, running
from serving.keys import new_key
from serving.settings import Settings


@pytest.fixture
def own(
    browser: BrowserContext, run_path: Path, tmp_path: Path
) -> Iterator[tuple[Page, str, Path]]:
    """A run of its own, as its bundles change, with its page and address."""
    run = Path(shutil.copytree(run_path, tmp_path / "run", symlinks=True))
    with (
        running(Settings(run / "bundle", run=run)) as address,
        fresh_page(browser) as (page, heard),
    ):
        page.goto(address)
        expect(rows(page)).to_have_count(10)
        yield page, address, run
        assert [one for one in heard.complaints if "status of 409" not in one] == []


def names(run: Path) -> tuple[str, str]:
    """Of the live bundle, and of the other."""
    live = (run / "bundle").resolve().name
    [other] = [path.name for path in (run / "bundles").iterdir() if path.name != live]
    return live, other


def test_another_bundle_is_made_live_and_taken_back(own: tuple[Page, str, Path]) -> None:
    page, _, run = own
    live, other = names(run)
    page.get_by_role("link", name="Bundles").click()
    page.get_by_role("row", name=other).get_by_role("button", name="Make it live").click()
    dialog = page.get_by_role("dialog", name="Make another bundle answer")
    expect(dialog).to_contain_text(f"Bundle {live}, which answers now, is kept")
    dialog.get_by_role("button", name="Make it live").click()
    expect(dialog).to_contain_text(f"Bundle {other} answers now")
    assert (run / "bundle").resolve().name == other
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator("#bundle")).to_contain_text(other)
    page.get_by_role("row", name=live).get_by_role("button", name="Go back to it").click()
    dialog.get_by_role("button", name="Go back to it").click()
    expect(dialog).to_contain_text(f"Bundle {live} answers now")
    assert (run / "bundle").resolve().name == live


def test_nothing_is_done_unless_confirmed(own: tuple[Page, str, Path]) -> None:
    page, _, run = own
    live, other = names(run)
    page.get_by_role("link", name="Bundles").click()
    page.get_by_role("row", name=other).get_by_role("button", name="Make it live").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert (run / "bundle").resolve().name == live


def test_a_damaged_bundle_is_refused_with_a_reason(own: tuple[Page, str, Path]) -> None:
    page, _, run = own
    live, other = names(run)
    page.get_by_role("link", name="Bundles").click()
    button = page.get_by_role("row", name=other).get_by_role("button", name="Make it live")
    expect(button).to_be_visible()
    (run / "bundles" / other / "user_vectors.npy").write_bytes(b"damaged")
    button.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Make it live").click()
    expect(dialog.get_by_role("alert")).to_contain_text("It was not done")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator("#bundle")).to_contain_text(live)


def test_how_bundles_differ_is_told_and_leads_to_their_lists(own: tuple[Page, str, Path]) -> None:
    page, _, run = own
    _, other = names(run)
    page.get_by_role("link", name="Bundles").click()
    page.get_by_text(f"How {other} differs").click()
    expect(page.get_by_text("It was not tested.")).to_be_visible()
    page.get_by_role("link", name="Hold its lists against").click()
    expect(page.get_by_role("heading", name=f"Bundle {other}")).to_be_visible()


def test_the_header_follows_a_promotion_without_a_click(own: tuple[Page, str, Path]) -> None:
    page, address, run = own
    live, other = names(run)
    page.get_by_label("User", exact=True).fill("u04")
    page.keyboard.press("Enter")
    page.locator("summary", has_text="genres").click()
    page.get_by_label("drama").check()
    ask(f"{address}/v1/admin/promote", {"bundle": other})
    expect(page.locator("#bundle")).to_contain_text(other)
    until(page, listed(address, {"user": "u04"}, filters={"genres": ["drama"]}))
    expect(page.locator(f"#other-bundle option[value='{live}']")).to_have_count(1)
    expect(page.locator(f"#other-bundle option[value='{other}']")).to_have_count(0)


def test_a_key_without_the_scope_is_told_and_can_be_changed(
    browser: BrowserContext, run_path: Path, tmp_path: Path
) -> None:
    token, lines = new_key("manager", ["read"])
    (tmp_path / "keys.toml").write_text(lines, encoding="utf-8")
    settings = Settings(run_path / "bundle", run=run_path, keys=tmp_path / "keys.toml")
    with running(settings) as address, fresh_page(browser) as (page, _):
        page.goto(f"{address}/#bundles")
        page.get_by_role("dialog", name="API key").get_by_label("Key").fill(token)
        page.keyboard.press("Enter")
        view = page.locator("#view-bundles")
        expect(view).to_contain_text("has no scope 'admin'")
        view.get_by_role("button", name="Give another key").click()
        expect(page.get_by_role("dialog", name="API key")).to_be_visible()


def test_a_service_over_one_bundle_says_what_it_lacks(
    browser: BrowserContext, run_path: Path
) -> None:
    with (
        running(Settings((run_path / "bundle").resolve())) as address,
        fresh_page(browser) as (page, _),
    ):
        page.goto(address)
        expect(rows(page)).to_have_count(10)
        choose_user(page)
        page.get_by_label("Hold the list against").select_option("another bundle")
        expect(page.locator("#other-note")).to_contain_text("one bundle, not a run")
        page.get_by_role("link", name="Bundles").click()
        expect(page.locator("#view-bundles")).to_contain_text("one bundle, not a run")
