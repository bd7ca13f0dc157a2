"""Rows of histories in bundles, and those that older bundles do not have."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.bundle.older_histories import rebuilt_history
from recsys.bundle.part import ForgottenUser, Parts
from recsys.bundle.parts.history_rows import HistoryRows
from recsys.core.history import user_histories
from recsys.encode.fold_in import history_neighbours
from worlds import ITEMS, USERS, make_contents, make_interactions

ROWS = ("indptr", "item", "behavior", "weight", "time")


def facts(part):
    return {"behaviors": part.histories.behaviors, "num_items": part.histories.num_items}


def saved_and_loaded(part, folder):
    return HistoryRows.load(folder, {**facts(part), **part.save(folder)}, Parts())


@pytest.mark.parametrize("duplicates", ["first", "last", "sum"])
def test_rows_are_read_as_they_were_written(tmp_path, duplicates):
    part = HistoryRows.of(make_interactions(), duplicates)
    loaded = saved_and_loaded(part, tmp_path)
    assert loaded.duplicates == duplicates
    for name in ROWS:
        assert np.array_equal(getattr(loaded.histories, name), getattr(part.histories, name))


def test_rows_without_times(tmp_path):
    part = HistoryRows.of(replace(make_interactions(), time=None), "first")
    assert saved_and_loaded(part, tmp_path).histories.time is None


def test_an_older_bundle_has_none(tmp_path):
    part = HistoryRows.of(make_interactions(), "first")
    assert HistoryRows.load(tmp_path, facts(part), Parts()) is None


def test_a_forgotten_user_leaves_no_row():
    part = HistoryRows.of(make_interactions(), "first")
    fewer = part.drop_user(ForgottenUser(4, "u04")).histories
    assert fewer.num_users == USERS - 1
    for user in range(USERS - 1):
        old = part.histories.of_user(user + (user >= 4))
        for name in ROWS:
            assert np.array_equal(getattr(fewer.of_user(user), name), getattr(old, name))


@pytest.mark.parametrize("half_life_days", [None, 300.0])
@pytest.mark.parametrize("half_life_events", [None, 3.0])
@pytest.mark.parametrize("use_weights", [False, True])
def test_rebuilt_rows_weigh_what_the_bundle_says(half_life_days, half_life_events, use_weights):
    log = make_interactions()
    log = replace(log, weight=np.linspace(1, 3, len(log)).astype(np.float32))
    state = replace(
        make_contents().embeddings.encoder,
        half_life_days=half_life_days,
        half_life_events=half_life_events,
        use_weights=use_weights,
        now=int(log.time.max()),
    )
    histories = user_histories(log)
    weights = {"buy": 1.0, "view": 0.5}
    weighted = histories.item_weights(weights, 2.0)
    for user in range(USERS):
        history = histories.of_user(user)
        seen = {name: history.matrix(name).indices for name in history.behaviors}
        edges = history_neighbours(state, history)
        latest = history.latest_rows(weights)
        later = dict(zip(history.item[latest].tolist(), history.num_later(latest), strict=True))
        rebuilt = rebuilt_history(seen, edges, state, later, ITEMS)
        again = history_neighbours(state, rebuilt)
        assert set(again) == set(edges)
        for name, matrix in edges.items():
            assert again[name].indices.tolist() == matrix.indices.tolist()
            assert again[name].data == pytest.approx(matrix.data, rel=1e-4)
        assert rebuilt.item_weights(weights, 2.0).toarray() == pytest.approx(
            weighted[user].toarray()
        )
