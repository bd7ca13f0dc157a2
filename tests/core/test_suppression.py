"""The list of those to be forgotten names nobody and is honoured wherever rows come in."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import UsageError
from recsys.core.suppression import Suppression
from recsys.logs.ingest import ingest, ingest_split, load_log


def test_it_is_kept_and_names_nobody(tmp_path):
    file = tmp_path / "suppressed.json"
    listed = Suppression.load(file).having("ann@example.org").having("bob")
    listed.save(file)
    again = Suppression.load(file)
    assert again == listed and again.holds("bob") and not again.holds("Bob")
    assert "ann" not in file.read_text() and "bob" not in file.read_text()
    assert again.having("bob") == again
    other = Suppression.load(tmp_path / "another.json").having("bob")
    assert not other.hashes & again.hashes  # each list has a salt of its own


@given(st.lists(st.text()), st.lists(st.text()))
def test_among(forgotten, ids):
    listed = Suppression("00" * 16)
    for one in forgotten:
        listed = listed.having(one)
    assert set(listed.among(pl.Series([*ids, None], dtype=pl.String))) == set(forgotten) & set(ids)


def test_their_rows_are_dropped_and_counted(tmp_path):
    log = pl.DataFrame(
        {"user_id": ["a", "b", "a", "c", None], "item_id": ["x", "x", "y", "y", "x"]}
    )
    listed = Suppression.load(tmp_path / "none.json").having("a").having("nobody")
    report = ingest(log, DataConfig(), CleanConfig(), tmp_path / "log", suppressed=listed)
    assert dict(report.drops) == {"user to be forgotten": 2, "user id missing": 1}
    assert load_log(tmp_path / "log").users.ids.to_list() == ["b", "c"]
    parts = {"train": log, "test": log.head(4).with_columns(item_id=pl.lit("z"))}
    report = ingest_split(parts, DataConfig(), CleanConfig(), tmp_path / "parts", suppressed=listed)
    assert report.drops["user to be forgotten"] == 4
    assert load_log(tmp_path / "parts").users.ids.to_list() == ["b", "c"]


def test_a_list_of_another_folder_is_named_by_the_configuration(tmp_path):
    log = pl.DataFrame({"user_id": ["a", "b", "c"], "item_id": ["x", "x", "y"]})
    file = tmp_path / "suppressed.json"
    Suppression.load(file).having("a").save(file)
    own = Suppression.load(tmp_path / "none.json").having("b")
    ingest(log, DataConfig(suppressed=str(file)), CleanConfig(), tmp_path / "log", suppressed=own)
    assert load_log(tmp_path / "log").users.ids.to_list() == ["c"]
    with pytest.raises(UsageError, match=r"data\.suppressed.*not there"):
        ingest(
            log,
            DataConfig(suppressed=str(tmp_path / "gone.json")),
            CleanConfig(),
            tmp_path / "other",
        )
