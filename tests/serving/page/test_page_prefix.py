"""The page under a prefix, behind a proxy that keeps it and behind one that strips it."""

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from browsers import fresh_page
from pages import rows
from proxies import proxied
from servers import running
from serving.settings import Settings


@pytest.mark.parametrize("strips", [False, True])
def test_the_page_works_under_a_prefix(
    run_path: Path, browser: BrowserContext, strips: bool
) -> None:
    settings = Settings(run_path / "bundle", run_path, prefix="/recs")
    with (
        running(settings) as service,
        proxied(service, "/recs", strips) as address,
        fresh_page(browser) as (page, heard),
    ):
        page.goto(f"{address}/")
        expect(rows(page).first).to_be_visible()
        page.goto(f"{address}/#report")
        expect(page.get_by_text("Good to serve.")).to_be_visible()
        assert heard.complaints == []
