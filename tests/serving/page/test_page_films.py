"""What the README promises: the demonstration's run, served, to a visitor of three films."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from browsers import fresh_page
from pages import rows, shown
from pipelines.demo import demo_config
from pipelines.run import run
from recsys.core.config import with_overrides
from servers import ask, running
from serving.settings import Settings

FILMS = ("Toy Story", "Lion King, The", "Aladdin")
KINDS = {"Animation", "Children"}
SHORT = ["train.epochs=3", "evaluate.bootstrap=100", "evaluate.baselines=['popularity']"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_visitor_of_three_films_gets_films_like_them_with_reasons(
    browser: BrowserContext, shots: Path, tmp_path: Path
) -> None:
    """One bundled film in twelve is an animation or for children; of ten recommended ones more than
    twice as many are, and the first.
    """
    films = tmp_path / "films"
    run(with_overrides(demo_config(films).model_dump(mode="json"), SHORT), films)
    with (
        running(Settings(films / "bundle", run=films)) as address,
        fresh_page(browser) as (page, heard),
    ):
        page.goto(address)
        for title in FILMS:
            page.get_by_label("Add an item to the history").fill(title)
            page.get_by_role("option", name=re.compile(f"^{title}")).first.click()
        expect(page.get_by_role("heading", name="a visitor with 3 items")).to_be_visible()
        found = ask(f"{address}/v1/items", {"items": shown(page)})[1]["items"]
        alike = [bool(KINDS & set(one["attributes"]["genres"])) for one in found]
        assert alike[0] and sum(alike) >= 2
        rows(page).first.get_by_role("button", name="Why").click()
        causes = page.get_by_role("list", name="What adds to the score").locator(".cause")
        expect(causes.first).to_be_visible()
        assert set(FILMS) <= set(causes.all_inner_texts())
        page.screenshot(path=shots / "films.png", full_page=True)
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=shots / "films-dark.png", full_page=True)
        assert heard.complaints == []
