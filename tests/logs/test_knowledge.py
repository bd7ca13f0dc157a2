"""Triples and the links of items: a small graph worked by hand, kinds, and what points nowhere."""

import polars as pl
import pytest

from recsys.core.config import DataConfig, KnowledgeConfig
from recsys.core.errors import ConfigError, DataError
from recsys.core.ids import IdMap
from recsys.logs.ingest import CodedLog
from recsys.logs.knowledge import read_knowledge

LOG = CodedLog(
    pl.LazyFrame(),
    IdMap(pl.Series(["u"]), "user"),
    IdMap(pl.Series(["10", "20", "30"]), "item"),
    ("interaction",),
    pl.DataFrame(),
    pl.DataFrame(),
)
TRIPLES = [
    ("A", "directed_by", "scott"),
    ("B", "directed_by", "scott"),
    ("B", "directed_by", "scott"),
    ("scott", "born_in", "town"),
    ("A", "sequel", "B"),
    ("ford", "acted_in", "A"),
    ("x", "sequel", "x"),
]
LINKS = [(10, "A"), (20, "B"), (20, "B"), (99, "C")]


@pytest.fixture
def read(tmp_path):
    def read_triples(triples=TRIPLES, links=LINKS, **config):
        pl.DataFrame(triples, ["h", "r", "t"], orient="row").write_parquet(tmp_path / "kg.parquet")
        pl.DataFrame(links, ["item", "entity"], orient="row").write_parquet(
            tmp_path / "links.parquet"
        )
        config = {"min_triples": 1} | config
        files = {"file": str(tmp_path / "kg.parquet"), "links": str(tmp_path / "links.parquet")}
        return read_knowledge(KnowledgeConfig(**files, **config), DataConfig(), LOG)

    return read_triples


def test_items_stand_where_their_entities_are(read):
    found = {one.name: (one.ends, one.rows.rows()) for one in read()}
    assert found == {
        "kg:acted_in": (("item", "item:kg"), [(0, "ford")]),
        "kg:born_in:entities": (("item:kg", "item:kg"), [("scott", "town")]),
        "kg:directed_by": (("item", "item:kg"), [(0, "scott"), (1, "scott")]),
        "kg:sequel:items": (("item", "item"), [(0, 1)]),
    }


def test_every_lost_row_is_counted(read):
    relations = read()
    drops = sum((one.drops for one in relations), relations[0].drops.__class__())
    assert drops == {
        "kg: link, repeated": 1,
        "kg: link, unknown item": 1,
        "kg: self-loop": 1,
        "kg:directed_by: repeated": 1,
    }
    assert sum(one.rows_read for one in relations) == len(TRIPLES) + drops["kg: link, repeated"] + 1
    assert sum(len(one.rows) for one in relations) == len(TRIPLES) - 2


def test_rare_kinds_share_one_relation(read):
    found = {one.name: one.rows.rows() for one in read(max_relations=1)}
    assert found == {
        "kg:directed_by": [(0, "scott"), (1, "scott")],
        "kg:other": [(0, "ford")],
        "kg:other:items": [(0, 1)],
        "kg:other:entities": [("scott", "town")],
    }


def test_some_kinds_alone(read):
    [only] = read(kinds=["acted_in"], name="films")
    assert (only.name, only.ends, only.drops["films: of a kind not asked for"]) == (
        "films:acted_in",
        ("item", "item:films"),
        5,
    )
    with pytest.raises(ConfigError, match="Did you mean 'acted_in'"):
        read(kinds=["actedin"])


def test_what_links_nothing_is_left_out(read):
    relations = read(min_triples=2)
    assert {one.name: one.rows.rows() for one in relations} == {
        "kg:directed_by": [(0, "scott"), (1, "scott")],
        "kg:sequel:items": [(0, 1)],
    }
    assert relations[0].drops["kg: of an entity in too few triples"] == 2
    with pytest.raises(DataError, match="min_triples = 1"):
        read([("A", "by", "x"), ("B", "by", "y")], min_triples=2)


def test_a_kind_and_its_inverse_are_one(read):
    triples = [
        ("A", "genre", "g"),
        ("B", "genre", "g"),
        ("g", "films", "A"),
        ("g", "films", "B"),
        ("A", "near", "g"),
    ]
    found = {one.name: one.rows.rows() for one in read(triples)}
    assert found == {"kg:films": [(0, "g"), (1, "g")], "kg:near": [(0, "g")]}


def test_an_entity_that_is_two_items(read):
    found = {
        one.name: one
        for one in read([("A", "near", "B"), ("A", "like", "z")], [(10, "A"), (20, "A"), (20, "B")])
    }
    assert found["kg:like"].rows.rows() == [(0, "z"), (1, "z")]
    assert found["kg:near:items"].rows.rows() == [(0, 1)]
    assert found["kg:near:items"].drops == {"kg:near:items: self-loop": 1}


@pytest.mark.parametrize("links", [[(10, "nobody")], [(98, "A")]])
def test_links_that_point_nowhere(read, links):
    with pytest.raises(DataError, match="point nowhere"):
        read(links=links)


def test_missing_columns(read):
    with pytest.raises(DataError, match="has no column 'tail'"):
        read(columns=("h", "r", "tail"))
    with pytest.raises(DataError, match=r"no column 'entiti'.*Did you mean 'entity'"):
        read(link_columns=("item", "entiti"))
