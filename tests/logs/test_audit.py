"""The audit: every slip is planted, and caught; a clean split passes."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recsys.core.config import CleanConfig, DataConfig, SplitConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.errors import GateRefused
from recsys.core.interactions import fit_interactions
from recsys.core.tables import BEHAVIOR, ITEM, TIME, USER
from recsys.logs.audit import (
    audit_fitted,
    audit_phase,
    audit_relations,
    audit_splits,
    enforce,
    item_popularity,
)
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "log"
    ingest(communities(behaviors=("view", "buy")).log, DataConfig(), CleanConfig(), folder)
    return load_log(folder)


def splits_of(log, method="global_time"):
    return split_log(log, SplitConfig(method=method), "buy", 0)


def names(findings, severity="fail"):
    return {finding.name for finding in findings if finding.severity == severity}


@pytest.mark.parametrize("method", ["global_time", "leave_last", "last_share", "random"])
def test_clean_splits_pass(log, method):
    findings = audit_splits(splits_of(log, method), log, "buy")
    assert not names(findings)
    enforce(findings)
    assert ("not time-safe" in names(findings, "note")) == (method != "global_time")


def test_pairs_of_other_behaviors_are_a_note(log):
    findings = audit_splits(splits_of(log, "random"), log, "buy")
    note = next(finding for finding in findings if finding.name == "pairs of other behaviors")
    assert note.severity == "note" and note.count > 0


@pytest.mark.parametrize("held", ["validation", "test"])
def test_a_shared_pair_is_caught(log, held):
    splits = splits_of(log, "random")
    stolen = getattr(splits, held).head(1).with_columns(pl.lit(0, dtype=pl.Int64).alias(TIME))
    planted = replace(splits, train=pl.concat([splits.train, stolen]))
    findings = audit_splits(planted, log, "buy")
    assert {"shared pairs", "rows unaccounted for"} <= names(findings)
    with pytest.raises(GateRefused, match="1 held-out pairs of 'buy'") as caught:
        enforce(findings)
    assert caught.value.exit_code == 4


def test_a_pair_of_validation_in_test_is_caught(log):
    splits = splits_of(log, "random")
    planted = replace(splits, test=pl.concat([splits.test, splits.validation.head(1)]))
    assert "shared pairs" in names(audit_splits(planted, log, "buy"))


@pytest.mark.parametrize("behavior", ["buy", "view"])
@pytest.mark.parametrize("cut", ["validation", "test"])
def test_a_train_row_after_the_cut_is_caught(log, behavior, cut):
    splits = splits_of(log)
    late = pl.DataFrame(
        {USER: [0], ITEM: [0], TIME: [splits.cuts[cut]], BEHAVIOR: [behavior], "weight": [1.0]}
    ).select(splits.train.columns)
    planted = replace(splits, train=pl.concat([splits.train, late.cast(dict(splits.train.schema))]))
    assert "rows after the cut" in names(audit_splits(planted, log, "buy"))


def test_a_later_row_of_a_user_is_caught(log):
    splits = splits_of(log, "leave_last")
    row = splits.test.head(1).with_columns(pl.col(TIME) + 1)
    as_view = row.with_columns(pl.lit("view").alias(BEHAVIOR))
    other_item = row.with_columns(pl.lit(splits.train[ITEM][0], dtype=pl.Int32).alias(ITEM))
    for planted in (as_view, other_item):
        found = audit_splits(replace(splits, train=pl.concat([splits.train, planted])), log, "buy")
        assert "rows after the held-out row" in names(found)


def test_other_behaviors_in_the_test_are_caught(log):
    splits = splits_of(log)
    planted = replace(splits, test=splits.test.with_columns(pl.lit("view").alias(BEHAVIOR)))
    assert "other behaviors held out" in names(audit_splits(planted, log, "buy"))


def test_a_lost_row_is_caught(log):
    splits = splits_of(log)
    planted = replace(splits, train=splits.train.head(-1))
    assert names(audit_splits(planted, log, "buy")) == {"rows unaccounted for"}


def test_ids_fitted_on_held_out_rows_are_caught(log):
    splits = splits_of(log)
    rows = splits.train.filter(pl.col(USER) > 3, pl.col(ITEM) > 2)
    honest = fit_interactions(rows, log.users, log.items, log.behaviors)
    assert audit_phase(honest, rows) == []
    everything = fit_interactions(log.rows.collect(), log.users, log.items, log.behaviors)
    assert names(audit_phase(everything, rows)) == {"user ids", "item ids", "interactions"}


def test_popularity_and_features_fitted_on_held_out_rows_are_caught(log):
    splits = splits_of(log)
    train = fit_interactions(splits.train, log.users, log.items, log.behaviors)
    honest = {"popularity": item_popularity(splits.train, train.item_codes)}
    leaky = {"popularity": item_popularity(log.rows.collect(), train.item_codes)}
    assert np.array_equal(honest["popularity"], np.bincount(train.item))
    assert audit_fitted(honest, honest) == []
    assert names(audit_fitted(leaky, honest)) == {"popularity"}
    assert names(audit_fitted({"popularity": np.zeros(3)}, honest)) == {"popularity"}


def test_test_pairs_in_a_file_are_told(log):
    splits = splits_of(log)
    until = int(splits.rows("final")[TIME].max())
    pairs = splits.test.head(4).select(
        pl.col(ITEM).alias("source"), pl.col(USER).alias("destination"), TIME
    )
    shown = pairs.with_columns(pl.Series(TIME, [until, until, until + 1, until + 2]))
    timeless = EdgeRows("wishes", ("item", "user"), pairs.drop(TIME))
    [warning] = audit_relations([timeless], splits.test, until)
    assert (warning.severity, warning.count) == ("warn", 4)
    assert (
        "4 of" in warning.message and "'wishes', which does not say since when" in warning.message
    )
    [note] = audit_relations([replace(timeless, rows=shown)], splits.test, until)
    assert (note.severity, note.count) == ("note", 2)
    # A log without a clock cuts nothing off.
    [warning] = audit_relations([replace(timeless, rows=shown)], splits.test, None)
    assert (warning.severity, warning.count) == ("warn", 4)
    assert "no clock" in warning.message


def test_files_of_other_ends_hold_no_pairs(log):
    splits = splits_of(log)
    pairs = splits.test.select(pl.col(USER).alias("source"), pl.col(ITEM).alias("destination"))
    assert not audit_relations([EdgeRows("trust", ("user", "user"), pairs)], splits.test, None)
    elsewhere = pairs.with_columns(pl.col("destination") + 10_000)
    assert not audit_relations([EdgeRows("wishes", ("user", "item"), elsewhere)], splits.test, None)
