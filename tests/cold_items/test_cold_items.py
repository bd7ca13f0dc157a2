"""Items of a log that a phase has no row of: what is said of them, and where it puts them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.core.config import RunConfig, build_config
from recsys.core.encoder import Embeddings
from recsys.core.tables import ITEM_ID, Drops
from recsys.encode.fold_in import UserEncoder
from recsys.fitting.cold_items import item_map, place_items, table_of_items, with_cold_items
from recsys.logs.ingest import ingest, load_log
from recsys.logs.relations import read_relations
from recsys.logs.split import Splits
from recsys.phases.phase import Phase
from worlds import LAYERS, WIDTH, World, make_encoder

ITEMS = 24
HELD = "i05"


def make_config(folder: Path) -> RunConfig:
    """Genres in the table; tags and undirected links in files; i05 is taken on the last day alone."""
    ids = [f"i{one:02}" for one in range(ITEMS)]
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", ids[int(item)], 1_600_000_000 + int(item))
        for user in range(12)
        for item in rng.permutation(ITEMS)[:8]
    ]
    rows = [row for row in rows if row[1] != HELD] + [("u0", HELD, 1_700_000_000)]
    pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").write_parquet(
        folder / "log.parquet"
    )
    genres = [["drama"] if one % 2 else ["comedy", "drama"] for one in range(ITEMS)]
    table = pl.DataFrame({"item_id": [*ids, "never"], "genres": [*genres, ["comedy"]]})
    table.write_parquet(folder / "items.parquet")
    tags = [(ids[one], f"t{one % 3}") for one in range(ITEMS)] + [(HELD, "t9")]
    pl.DataFrame(tags, schema=["item_id", "tag"], orient="row").write_parquet(
        folder / "tags.parquet"
    )
    links = [(ids[0], HELD), (HELD, ids[1]), (ids[2], ids[3])]
    pl.DataFrame(links, schema=["a", "b"], orient="row").write_parquet(folder / "links.parquet")
    relations = [
        {"name": "tagged", "file": str(folder / "tags.parquet"), "between": ["item", "tag"]},
        {
            "name": "like",
            "file": str(folder / "links.parquet"),
            "between": ["item", "item"],
            "directed": False,
        },
    ]
    graph = {"attributes": [{"column": "genres"}], "relations": relations}
    data = {"log": str(folder / "log.parquet"), "items": str(folder / "items.parquet")}
    return build_config({"data": data, "graph": graph, "index": {"cold_items": True}})


@pytest.fixture(scope="module")
def phase(tmp_path_factory: pytest.TempPathFactory) -> Phase:
    """The phase before i05 was taken."""
    folder = tmp_path_factory.mktemp("cold")
    config = make_config(folder)
    ingest(config.data.log, config.data, config.clean, folder / "log")
    log = load_log(folder / "log")
    rows = log.rows.collect()
    early, late = (
        rows.filter(pl.col("timestamp") < 1_650_000_000),
        rows.filter(pl.col("timestamp") > 1_650_000_000),
    )
    splits = Splits(early, rows.head(0), late, rows.head(0), Drops(), {}, True, "by hand")
    return Phase("final", log, splits, config, read_relations(config.graph, config.data, log))


def made_up(phase: Phase) -> Embeddings:
    """Vectors that are the genres and tags of items, as if training had found them."""
    rng = np.random.default_rng(3)
    log = phase.interactions
    encoder = make_encoder(make_neighbours_of(phase))
    states = rng.normal(size=(LAYERS, log.num_items, WIDTH)).astype(np.float32)
    encoder = replace(encoder, states={"item": states})
    directions = {name: rng.normal(size=WIDTH) for name in ("comedy", "t0", "t1", "t2")}
    numbers = [int(one[1:]) for one in log.items.ids]
    items = [
        directions[f"t{one % 3}"] + (0 if one % 2 else 1) * directions["comedy"] for one in numbers
    ]
    users = UserEncoder(encoder).encode({"rev_buy": make_neighbours_of(phase)["rev_buy"]})
    return Embeddings(users, np.array(items, np.float32), np.zeros_like(users), encoder)


def make_neighbours_of(phase: Phase) -> dict:
    return {"rev_buy": phase.interactions.matrix((phase.target,))}


def test_what_tables_and_files_say(phase: Phase) -> None:
    code = int(phase.log.items.lookup([HELD])[0])
    found = item_map(phase, phase.graph, made_up(phase))
    assert found is not None
    assert {feature.name: feature.source for feature in found.features} == {
        "genres": "item:genres",
        "tag": "item:tag",
        "like": "item",
    }
    [row] = table_of_items(phase, np.array([code]), found).to_dicts()
    assert (
        row["genres"] == ["drama"] and row["tag"] == ["t2", "t9"] and row["like"] == ["i00", "i01"]
    )


def test_a_placed_item_lies_by_its_like(phase: Phase) -> None:
    codes = phase.log.items.lookup([HELD])
    embeddings = made_up(phase)
    new = place_items(phase, phase.graph, embeddings, codes)
    assert new is not None and new.table[ITEM_ID].to_list() == [HELD]
    assert new.unknown == {"genres": 0, "tag": 1, "like": 0}
    numbers = np.array([int(one[1:]) for one in phase.interactions.items.ids])
    cosine = (embeddings.items @ new.vectors[0]) / np.linalg.norm(embeddings.items, axis=1)
    twins = (numbers % 3 == 2) & (numbers % 2 == 1)
    assert cosine[twins].min() > cosine[~twins].max()


def test_cold_items_of_the_log_and_of_the_table_join(phase: Phase) -> None:
    embeddings = made_up(phase)
    graph = phase.graph
    contents = World(
        embeddings,
        phase.interactions,
        phase.target,
        make_neighbours_of(phase),
        item_table=phase.item_table,
        labels={kind: tuple(values) for kind, values in graph.labels.items()},
        item_map=item_map(phase, graph, embeddings),
    )
    longer = with_cold_items(contents.bundle(), phase)
    num_items = phase.interactions.num_items + 2
    assert longer.items.ids.to_list()[-2:] == [HELD, "never"] and longer.cold_items == 2
    assert len(longer.item_vectors) == len(longer.item_table) == num_items
