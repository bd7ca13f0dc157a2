"""`recsys add-items` on a finished run: the bundle that is served grows, and nothing else."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from chain import Call, Settings
from pipelines.run import run
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder, read_json, write_json
from recsys.lookup.lookup import Lookup

OLD = Path(__file__).parent / "old_run"


@pytest.fixture(scope="module")
def with_genres(
    world: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """A run whose graph has the genres of items."""
    out = tmp_path_factory.mktemp("runs") / "genres"
    changes = (
        'graph.attributes=[{column="genres"}]',
        'evaluate.baselines=["popularity"]',
        "refit=false",
    )
    run(settings(world, *changes), out)
    return RunFolder(out)


def write_table(folder: Path, world: Path, **columns: list) -> Path:
    genres = pl.read_parquet(world / "items.parquet")["genres"]
    rows = {"item_id": ["new a", "new b"], "title": ["A", "B"], "genres": [genres[0], genres[1]]}
    pl.DataFrame(rows | columns).write_parquet(folder / "new.parquet")
    return folder / "new.parquet"


def test_added_once_served_at_once(
    with_genres: RunFolder, world: Path, tmp_path: Path, call: Call
) -> None:
    table = write_table(tmp_path, world)
    before = Bundle.load(with_genres.bundle.resolve())
    said = json.loads(call("add-items", with_genres.path, "--items", table, "--json").out)
    after = Bundle.load(with_genres.bundle.resolve())
    assert (said["added"], said["before"], said["bundle"]) == (2, before.name, after.name)
    assert before.name != after.name
    assert after.items.ids.to_list()[-2:] == ["new a", "new b"]
    shown = call(
        "recommend",
        with_genres.path,
        "--user",
        before.users.ids[0],
        "--allow",
        "new a,new b",
        "--json",
    )
    assert {one["id"] for one in json.loads(shown.out)["items"]} == {"new a", "new b"}
    again = json.loads(call("add-items", with_genres.path, "--items", table, "--json").out)
    assert (again["added"], again["bundle"], again["left_out"]) == (
        0,
        after.name,
        {"item already there": 2},
    )


def test_bad_tables_change_nothing(
    with_genres: RunFolder, world: Path, tmp_path: Path, call: Call
) -> None:
    before = with_genres.bundle.resolve()
    for change, said in (
        ({"colour": ["red", "blue"]}, "unknown column 'colour'"),
        ({"item_id": ["x", "x"]}, "names 'x' more than once"),
    ):
        left = call(
            "add-items", with_genres.path, "--items", write_table(tmp_path, world, **change)
        )
        assert left.code == 1 and said in left.err
    assert with_genres.bundle.resolve() == before


def test_a_model_that_does_not_know_its_items_says_so(
    world: Path, tmp_path: Path, call: Call
) -> None:
    old = shutil.copytree(OLD, tmp_path / "old", symlinks=True)
    left = call("add-items", old, "--items", write_table(tmp_path, world))
    assert left.code == 2 and "graph.attributes" in left.err


def test_a_run_serves_items_of_its_table_that_nobody_took(
    world: Path, settings: Settings, tmp_path: Path
) -> None:
    items = pl.read_parquet(world / "items.parquet")
    more = items.head(2).with_columns(item_id=pl.Series(["cold a", "cold b"]))
    more = more.with_columns(
        genres=pl.Series([items["genres"][0], []], dtype=items["genres"].dtype)
    )
    pl.concat([items, more]).write_parquet(tmp_path / "items.parquet")
    (tmp_path / "log.parquet").symlink_to(world / "log.parquet")
    users = pl.read_parquet(world / "log.parquet")["user_id"].unique().sort()
    country = pl.Series("country", [("de", "fr")[user % 2] for user in range(len(users))])
    pl.DataFrame([users, country]).write_parquet(tmp_path / "users.parquet")
    changes = (
        'graph.attributes=[{column="genres"}]',
        'evaluate.baselines=["popularity"]',
        "index.cold_items=true",
    )
    more_changes = ('index.segment="country"', f'data.users="{tmp_path / "users.parquet"}"')
    run(settings(tmp_path, *changes, *more_changes), tmp_path / "run")
    bundle = Bundle.load(RunFolder(tmp_path / "run").bundle)
    assert bundle.items.ids.to_list()[-1] == "cold a" and bundle.cold_items == 1
    assert len(bundle.items) == len(items) + 1
    [answer] = Lookup(bundle).recommend(attributes=[{"country": "de"}], k=3)
    assert (answer["source"], len(answer["items"])) == ("segment", 3)


def test_items_are_added_under_the_names_of_the_run(
    with_genres: RunFolder, world: Path, tmp_path: Path, call: Call
) -> None:
    """A table as the run's own was: nothing has to be said again; a flag says it otherwise."""
    copied = tmp_path / "run"
    shutil.copytree(with_genres.path, copied, symlinks=True)
    genres = pl.read_parquet(world / "items.parquet")["genres"]
    table = {"sku": ["new c"], "name": ["C"], "genres": [genres[0]]}
    pl.DataFrame(table).write_parquet(tmp_path / "new.parquet")
    asked = ("add-items", copied, "--items", tmp_path / "new.parquet", "--json")
    refused = call(*asked)
    assert refused.code == 1
    assert "no column 'item_id'" in refused.err and "--item-col" in refused.err
    assert "--user-col" not in refused.err and "--time-col" not in refused.err

    manifest = read_json(copied / "manifest.json")
    manifest["config"]["data"] |= {"item_col": "sku", "title_col": "name"}
    write_json(copied / "manifest.json", manifest)
    assert '"added": 1' in call(*asked).out

    renamed = {"code": ["new d"], "name": ["D"], "genres": [genres[0]]}
    pl.DataFrame(renamed).write_parquet(tmp_path / "new.parquet")
    assert call(*asked).code == 1
    assert '"added": 1' in call(*asked, "--item-col", "code").out
