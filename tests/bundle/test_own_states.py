"""Own states of users that are all the same: one row in the file, a row for each in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.bundle.bundle import Bundle
from recsys.bundle.files import write_sealed
from recsys.lookup.lookup import Lookup
from recsys.releases.forget import without_user
from worlds import USERS, WIDTH, make_contents, write_world

FILE = "user_self.npy"


@pytest.fixture
def shared(tmp_path: Path) -> Bundle:
    """The world whose users all have the state of a visitor."""
    contents = make_contents()
    row = contents.embeddings.encoder.visitor
    embeddings = replace(contents.embeddings, user_self=np.broadcast_to(row, (USERS, WIDTH)))
    return Bundle.load(write_world(tmp_path, replace(contents, embeddings=embeddings)))


def test_the_file_holds_one_row(shared: Bundle) -> None:
    assert np.load(shared.path / FILE).shape == (1, WIDTH)
    assert shared.user_self.shape == (USERS, WIDTH)
    assert (shared.user_self == shared.encoder.visitor).all()


def test_others_hold_a_row_for_each(bundle: Bundle) -> None:
    assert np.load(bundle.path / FILE).shape == (USERS, WIDTH)


def test_a_bundle_with_all_rows_is_still_read(shared: Bundle) -> None:
    lists = Lookup(shared).recommend(["u03", "u11"], 5)
    golden = shared.golden()

    def fill(folder: Path) -> None:
        shared.write_files(folder)
        np.save(folder / FILE, np.asarray(shared.user_self))

    older = Bundle.load(write_sealed(shared.path.parent, fill, lambda folder: golden))
    assert np.array_equal(older.user_self, shared.user_self)
    assert Lookup(older).recommend(["u03", "u11"], 5) == lists


def test_a_forgotten_user_leaves_the_row_to_the_others(shared: Bundle) -> None:
    after = Bundle.load(without_user(shared, 4))
    assert np.load(after.path / FILE).shape == (1, WIDTH)
    assert after.user_self.shape == (USERS - 1, WIDTH)
    answers = [Lookup(one).recommend(["u03"], 5, histories=[["i05"]]) for one in (shared, after)]
    assert answers[0][0]["items"] == answers[1][0]["items"]
