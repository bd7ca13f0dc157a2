"""A run with a report and two bundles, its service, and a browser that looks at it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from browsers import browsing, fresh_page, screenshots
from bundles import copy_with_report
from pages import HOSTILE, rows
from recsys.core.artefacts import switch_link, write_json
from recsys.core.tables import TITLE
from recsys.evaluate.document import Comparison, ModelRow, Report, RunFacts, Value, Verdict
from servers import running
from serving.settings import Settings
from worlds import World, make_contents_with_genres, write_world


def make_films() -> World:
    contents = make_contents_with_genres()
    titles = contents.item_table[TITLE].to_list()
    titles[3] = HOSTILE
    return replace(contents, item_table=contents.item_table.with_columns(title=np.array(titles)))


def make_other(films: World) -> World:
    """The same films to somewhat different users."""
    noise = 0.3 * np.random.default_rng(0).normal(size=films.embeddings.users.shape).astype(
        np.float32
    )
    return replace(
        films, embeddings=replace(films.embeddings, users=films.embeddings.users + noise)
    )


def make_report() -> Report:
    rows = [
        ModelRow(
            name=name,
            title=name,
            role=role,
            validation=value,
            metrics={"ndcg@10": Value(value=value, low=0.1, high=0.3)},
        )
        for name, role, value in (("attention", "model", 0.21), ("ease", "baseline", 0.19))
    ]
    found = Comparison(
        other="ease",
        metric="ndcg@10",
        difference=0.02,
        low=0.01,
        high=0.03,
        p=0.01,
        p_holm=0.01,
        finding="better",
    )
    return Report(
        headline="Graph attention finds more than EASE.",
        facts=RunFacts(
            data="films.csv", split="global_time", time_safe=True, users=30, items=40, warm_users=20
        ),
        main="attention",
        deciding="ndcg@10",
        draws=10,
        models=rows,
        comparisons=[found],
        verdict=Verdict(
            winner="attention", decided_on="validation", never_worse=True, line="Good to serve."
        ),
    )


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two bundles, the first of them live, and a report."""
    run, films = tmp_path_factory.mktemp("run"), make_films()
    plain = write_world(tmp_path_factory.mktemp("plain"), films)
    report = make_report().model_dump(mode="json")
    page = "<!doctype html><title>Report</title><p>All of it"
    live = copy_with_report(plain, run / "bundles", report, page)
    write_world(run / "bundles", make_other(films))
    switch_link(run / "bundle", live)
    write_json(run / "manifest.json", {})
    return run


@pytest.fixture(scope="module")
def address(run_path: Path) -> Iterator[str]:
    with running(Settings(run_path / "bundle", run=run_path)) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with browsing(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return screenshots(tmp_path_factory.getbasetemp() / "screenshots")


@pytest.fixture
def page(browser: BrowserContext, address: str) -> Iterator[Page]:
    """The page with its first list and all it offers; it may neither complain nor ask another host."""
    with fresh_page(browser) as (page, heard):
        page.goto(address)
        expect(rows(page)).to_have_count(10)
        expect(page.locator("#other-bundle option")).to_have_count(2)
        yield page
        assert heard.complaints == []
        assert heard.hosts == {urlsplit(address).netloc}
