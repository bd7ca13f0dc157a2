"""Files of edges in a run: read once into the run folder, told, and read again only when they
change.
"""

from pathlib import Path

import polars as pl
import pytest

from chain import Heard, Settings
from pipelines.places import RELATIONS
from pipelines.run import run
from recsys.core.config import RunConfig
from recsys.core.errors import DataError
from recsys.graph.store import load_graph


@pytest.fixture
def files(world: Path, tmp_path: Path) -> dict[str, str]:
    """Trust among the first users of the log, and clubs of nobody."""
    users = pl.read_parquet(world / "log.parquet")["user_id"].unique().sort().head(4).to_list()
    trust = pl.DataFrame(
        {
            "who": [*users[:3], users[0], users[1], "x"],
            "whom": [*users[1:], users[0], users[2], users[0]],
        }
    )
    trust.write_csv(tmp_path / "trust.csv")
    pl.DataFrame({"user": ["nobody"], "club": ["chess"]}).write_csv(tmp_path / "clubs.csv")
    return {name: str(tmp_path / f"{name}.csv") for name in ("trust", "clubs")}


def configured(settings: Settings, world: Path, files: dict[str, str]) -> RunConfig:
    relations = [
        f'{{name = "trust", file = "{files["trust"]}", between = ["user", "user"]}}',
        f'{{name = "clubs", file = "{files["clubs"]}", between = ["user", "club"]}}',
    ]
    return settings(world, f"graph.relations=[{', '.join(relations)}]")


def test_a_run_tells_what_it_read_and_what_it_left_out(settings, world, files, tmp_path):
    heard, out = Heard(), tmp_path / "run"
    manifest = run(configured(settings, world, files), out, heard, until="graph-select")
    assert "relation trust: 3 edges of 6 rows; dropped" in heard.text
    assert "relation clubs has no edge in the phase select and is left out" in heard.text
    drops = manifest.entries["relations"].drops
    assert drops == {
        "trust: self-loop": 1,
        "trust: repeated": 1,
        "trust: unknown user": 1,
        "clubs: unknown user": 1,
    }
    graph = load_graph(out / "graph/select")
    assert graph.relations["user", "trust", "user"].num_edges == 3
    assert "clubs" not in {name for _, name, _ in graph.relations}
    assert graph.drops["trust: unknown user"] == 1


def test_only_a_changed_file_is_read_again(settings, world, files, tmp_path):
    config, out = configured(settings, world, files), tmp_path / "run"
    run(config, out, until="graph-select")
    heard = Heard()
    run(config, out, heard, until="graph-select")
    assert heard.text.count("unchanged, skipped") == len(
        [line for line in heard.lines if line.startswith("[")]
    )
    Path(files["trust"]).write_text(Path(files["trust"]).read_text() + "y,z\n")
    heard = Heard()
    run(config, out, heard, until="graph-select")
    assert "ingest: unchanged" in heard.text and "split: unchanged" in heard.text
    assert "relations (" in heard.text
    assert (out / RELATIONS / "relations.json").exists()


def test_without_relations_there_is_no_such_stage(settings, world, tmp_path):
    manifest = run(settings(world), tmp_path / "run", until="split")
    assert "relations" not in manifest.entries


def test_a_file_that_is_not_there_stops_the_run(settings, world, files, tmp_path):
    Path(files["clubs"]).unlink()
    with pytest.raises(DataError, match=r"no file .*clubs\.csv"):
        run(configured(settings, world, files), tmp_path / "run", until="graph-select")
