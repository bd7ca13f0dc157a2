"""Where the service asks for a key: there is always a way to give another."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from browsers import fresh_page
from pages import rows
from servers import running
from serving.keys import new_key
from serving.settings import Settings

HEADER = "Authorization: Bearer"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tokens by what they may do, and the file that names them."""
    tokens, lines = {}, []
    for scope in ("read", "events"):
        tokens[scope], text = new_key(scope, [scope])
        lines.append(text)
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return {**tokens, "file": str(file)}


@pytest.fixture
def guarded(browser: BrowserContext, run_path: Path, keys: dict[str, str]) -> Iterator[Page]:
    settings = Settings(run_path / "bundle", run=run_path, keys=Path(keys["file"]))
    with running(settings) as address, fresh_page(browser) as (page, heard):
        page.goto(address)
        yield page
        assert all("status of 40" in one for one in heard.complaints)
        assert heard.hosts == {urlsplit(address).netloc}


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog", name="API key")


def give(page: Page, key: str) -> None:
    dialog(page).get_by_label("Key").fill(key)
    dialog(page).get_by_role("button", name="Use this key").click()


def test_a_key_is_asked_for_and_kept_in_the_tab(guarded: Page, keys: dict[str, str]) -> None:
    give(guarded, "wrong")
    expect(dialog(guarded)).to_contain_text("does not know that key")
    give(guarded, keys["read"])
    expect(rows(guarded)).to_have_count(10)
    kept = json.loads(guarded.evaluate("JSON.stringify({...sessionStorage})"))
    assert kept == {"recsys.key": keys["read"]}
    assert guarded.evaluate("localStorage.length") == 0
    assert keys["read"] not in guarded.url
    guarded.get_by_role("button", name="API key").click()
    dialog(guarded).get_by_role("button", name="Forget the key").click()
    expect(dialog(guarded)).to_contain_text("asks for a key")
    assert guarded.evaluate("sessionStorage.length") == 0


def test_after_a_key_that_may_not_read_another_can_be_given(
    guarded: Page, keys: dict[str, str]
) -> None:
    give(guarded, keys["events"])
    problem = guarded.get_by_role("alert")
    expect(problem).to_contain_text("has no scope 'read'")
    problem.get_by_role("button", name="Give another key").click()
    give(guarded, keys["read"])
    expect(rows(guarded)).to_have_count(10)


def test_after_cancel_another_can_be_given(guarded: Page, keys: dict[str, str]) -> None:
    dialog(guarded).get_by_role("button", name="Cancel").click()
    problem = guarded.get_by_role("alert")
    expect(problem).to_contain_text("This service needs an API key")
    expect(guarded.locator("body")).not_to_contain_text(HEADER)
    problem.get_by_role("button", name="Give another key").click()
    dialog(guarded).get_by_role("button", name="Cancel").click()
    guarded.get_by_role("button", name="API key", exact=True).click()
    give(guarded, keys["read"])
    expect(rows(guarded)).to_have_count(10)
