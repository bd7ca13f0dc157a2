"""What a run left beside its live bundle, over HTTP: the report, and lists of other bundles."""

import gc
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from bundles import copy_with_report
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import switch_link, write_json
from recsys.core.ids import IdMap
from recsys.lookup.lookup import Lookup
from servers import ask, running
from serving.others import Others
from serving.problems import Refused
from serving.settings import Settings
from worlds import ITEMS, USERS, make_contents, make_contents_with_genres, write_world

BODY = {"requests": [{"user": "u01"}, {"history": [{"item": "i03"}]}], "k": 5}


@pytest.fixture(scope="module")
def run_path(
    tmp_path_factory: pytest.TempPathFactory, bundle_path: Path, other_bundle_path: Path
) -> Path:
    """A run with two bundles and their reports, the first of them live."""
    run = tmp_path_factory.mktemp("run")
    for path, headline in ((bundle_path, "good"), (other_bundle_path, "better")):
        page = f"<p>{headline}</p>"
        copied = copy_with_report(path, run / "bundles", {"headline": headline}, page)
        assert copied.name == path.name
    switch_link(run / "bundle", run / "bundles" / bundle_path.name)
    return run


@pytest.fixture(scope="module")
def run_address(run_path: Path) -> Iterator[str]:
    with running(Settings(run_path / "bundle", run=run_path)) as address:
        yield address


def test_another_bundle_answers_as_its_own_service_would(
    run_address: str, other_bundle_path: Path
) -> None:
    name = other_bundle_path.name
    status, found = ask(f"{run_address}/v1/admin/recommend", BODY | {"bundle": name})
    expected = Lookup(Bundle.load(other_bundle_path)).recommend(["u01"], 5)[0]["items"]
    assert status == 200
    assert found["model_version"] == name
    assert [one["id"] for one in found["answers"][0]["items"]] == [one["id"] for one in expected]
    assert ask(f"{run_address}/v1/model")[1]["model_version"] != name


def test_lists_of_another_bundle_are_not_counted(run_address: str, other_bundle_path: Path) -> None:
    def asked() -> str:
        return next(
            line
            for line in ask(f"{run_address}/metrics")[1].splitlines()
            if line.startswith("recsys_asked")
        )

    before = asked()
    ask(f"{run_address}/v1/admin/recommend", BODY | {"bundle": other_bundle_path.name})
    assert asked() == before


def test_unknown_and_malformed_bundles_are_refused(run_address: str, address: str) -> None:
    nowhere = BODY | {"bundle": "0" * 12}
    status, problem = ask(f"{run_address}/v1/admin/recommend", nowhere)
    assert (status, "000000000000" in problem["detail"]) == (404, True)
    assert ask(f"{run_address}/v1/admin/recommend", BODY | {"bundle": "../../etc"})[0] == 422
    assert ask(f"{address}/v1/admin/recommend", nowhere)[0] == 404


def test_a_damaged_bundle_is_refused_and_the_live_one_goes_on(
    tmp_path: Path, run_path: Path
) -> None:
    run = Path(shutil.copytree(run_path, tmp_path / "run", symlinks=True))
    live = (run / "bundle").resolve().name
    [other] = [path for path in (run / "bundles").iterdir() if path.name != live]
    (other / "user_self.npy").write_bytes(b"damaged")
    with running(Settings(run / "bundle", run=run)) as address:
        status, problem = ask(f"{address}/v1/admin/recommend", BODY | {"bundle": other.name})
        assert (status, "user_self.npy" in problem["detail"]) == (409, True)
        assert ask(f"{address}/v1/recommend", BODY)[1]["model_version"] == live


def test_a_bundle_that_is_gone_answers_no_more(tmp_path: Path, run_path: Path) -> None:
    run = Path(shutil.copytree(run_path, tmp_path / "run", symlinks=True))
    live = (run / "bundle").resolve().name
    [other] = [path for path in (run / "bundles").iterdir() if path.name != live]
    others = Others(run)
    kept = weakref.ref(others.get(other.name))
    others.follow()
    assert kept() is not None
    shutil.rmtree(other)
    with pytest.raises(Refused, match=other.name):
        others.get(other.name)
    others.follow()
    gc.collect()
    assert kept() is None


def test_the_report_is_of_the_bundle_that_answers(
    tmp_path: Path, run_path: Path, bundle_path: Path, other_bundle_path: Path
) -> None:
    """Whichever is promoted, and whatever the run left in its folder since."""
    run = Path(shutil.copytree(run_path, tmp_path / "run", symlinks=True))
    (run / "report").mkdir()
    write_json(run / "report" / "report.json", {"headline": "of a bundle that is held"})
    first, second = bundle_path.name, other_bundle_path.name
    with running(Settings(run / "bundle", run=run)) as address:
        good = {"headline": "good", "model_version": first}
        assert ask(f"{address}/v1/report") == (200, good)
        assert ask(f"{address}/v1/report.html") == (200, "<p>good</p>")
        assert ask(f"{address}/v1/admin/promote", {"bundle": second})[0] == 200
        assert ask(f"{address}/v1/report")[1] == {"headline": "better", "model_version": second}
        assert ask(f"{address}/v1/report.html") == (200, "<p>better</p>")
        assert ask(f"{address}/v1/admin/rollback", method="POST")[0] == 200
        assert ask(f"{address}/v1/report") == (200, good)


def test_a_bundle_without_a_report_says_so(address: str) -> None:
    status, problem = ask(f"{address}/v1/report")
    assert (status, "finish the run" in problem["remedy"]) == (404, True)


def test_attributes_are_listed_with_their_most_frequent_values(tmp_path: Path) -> None:
    path = write_world(tmp_path, make_contents_with_genres())
    with running(Settings(path)) as address:
        found = ask(f"{address}/v1/attributes?k=2")[1]
    values = [{"value": "comedy", "items": 14}, {"value": "drama", "items": 13}]
    assert found == {
        "columns": [{"column": "genres", "distinct": 3, "values": values}],
        "model_version": path.name,
    }


def test_a_bundle_without_attributes_lists_none(tmp_path: Path) -> None:
    path = write_world(tmp_path, make_contents())
    with running(Settings(path)) as address:
        assert ask(f"{address}/v1/attributes")[1]["columns"] == []


def test_the_very_id_is_found_first(tmp_path: Path) -> None:
    contents = make_contents()
    users, items = (
        pl.Series([str(one) for one in reversed(range(count))]) for count in (USERS, ITEMS)
    )
    log = replace(contents.interactions, users=IdMap(users, "user"), items=IdMap(items, "item"))
    with running(Settings(write_world(tmp_path, replace(contents, interactions=log)))) as address:
        assert ask(f"{address}/v1/users?text=1&k=3")[1]["users"] == ["1", "21", "19"]
        found = ask(f"{address}/v1/items?text=1&k=40")[1]["items"]
    popularity = [one["popularity"]["all"] for one in found]
    assert found[0]["id"] == "1"
    assert popularity[0] < max(popularity)
    assert popularity[1:] == sorted(popularity[1:], reverse=True)


def test_how_far_a_run_is(tmp_path: Path, run_path: Path, address: str) -> None:
    run = Path(shutil.copytree(run_path, tmp_path / "run", symlinks=True))
    stage = {"stage": "train-select[model]", "label": "[6/23]", "seconds": 12.5}
    with running(Settings(run / "bundle", run=run)) as served:
        assert ask(f"{served}/v1/run")[1]["status"] == "unknown"
        write_json(run / "manifest.json", {"status": "running", "stages": {"ingest": {}}})
        write_json(run / "progress.json", stage)
        expected = {"status": "running", "finished": 1, "at_work": stage}
        assert ask(f"{served}/v1/run") == (200, expected)
        # What a finished run left there is not at work any more.
        write_json(run / "manifest.json", {"status": "done", "stages": {"ingest": {}}})
        assert ask(f"{served}/v1/run")[1]["at_work"] is None
    status, problem = ask(f"{address}/v1/run")
    assert status == 404 and "no run folder" in problem["detail"]
