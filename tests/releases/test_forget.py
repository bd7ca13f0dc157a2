"""A bundle without one person: nothing of theirs is in it, and everybody else is answered as
before.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.users import Users
from recsys.core.errors import UsageError
from recsys.encode.history_scores import HistoryScores
from recsys.lookup.lookup import Lookup
from recsys.releases.forget import without_user
from recsys.releases.publish import load_verified
from worlds import ITEMS, LAYERS, USERS, WIDTH, make_contents, make_relation, write_world

OLD_BUNDLE = Path(__file__).parents[1] / "pipelines/old_run/bundle"


@pytest.fixture(params=["vectors", "blended", "friends"])
def bundle(request, tmp_path):
    contents = make_contents()
    values = pl.DataFrame(
        {"user_id": [f"u{one:02}" for one in range(0, USERS, 2)], "ndcg@5": [0.5] * (USERS // 2)}
    )
    contents = replace(contents, test_values=values)
    rng = np.random.default_rng(3)
    if request.param == "blended":
        table = sparse.csr_matrix(
            rng.random((ITEMS, ITEMS)) * (rng.random((ITEMS, ITEMS)) < 0.2), dtype=np.float32
        )
        into, back = (rng.normal(size=(ITEMS, 3)).astype(np.float32) for _ in range(2))
        contents = replace(
            contents,
            added=HistoryScores(table, into, back),
            histories=contents.interactions.matrix(("buy",)),
        )
    if request.param == "friends":
        friends = sparse.random(USERS, USERS, 0.2, "csr", np.float32, rng=1)
        relation = replace(
            make_relation("rev_friend", friends, False, 9), source="user", behavior=None
        )
        encoder = contents.embeddings.encoder
        states = encoder.states | {
            "user": rng.normal(size=(LAYERS, USERS, WIDTH)).astype(np.float32)
        }
        encoder = replace(encoder, states=states, relations=(*encoder.relations, relation))
        contents = replace(
            contents,
            embeddings=replace(contents.embeddings, encoder=encoder),
            neighbours={**contents.neighbours, "rev_friend": friends},
        )
    return Bundle.load(write_world(tmp_path, contents))


@pytest.mark.parametrize("user", [0, 4, USERS - 1])
def test_everybody_else_is_answered_as_before(bundle, user):
    forgotten = f"u{user:02}"
    others = [one for one in bundle.users.ids if one != forgotten]
    fresh = Bundle.load(without_user(bundle, user))
    before, after = Lookup(bundle), Lookup(fresh)
    assert fresh.users.ids.to_list() == others and fresh.name != bundle.name
    for old, new in zip(before.recommend(others, 7), after.recommend(others, 7), strict=True):
        assert [one["id"] for one in new["items"]] == [one["id"] for one in old["items"]]
        assert [one["score"] for one in new["items"]] == pytest.approx(
            [one["score"] for one in old["items"]], abs=1e-5
        )
    history = ["i03", "i11"]
    old, new = (side.recommend(histories=[history], k=5)[0]["items"] for side in (before, after))
    assert [one["id"] for one in old] == [one["id"] for one in new]
    events = [[one] for one in ("i01", "i02")] * (len(others) // 2) + [["i03"]] * (len(others) % 2)
    if (
        "rev_friend" not in bundle.neighbours
    ):  # who had the person as a friend is encoded without them from now on
        for old, new in zip(
            *(side.recommend(others, 5, histories=events) for side in (before, after)), strict=True
        ):
            assert [one["score"] for one in new["items"]] == pytest.approx(
                [one["score"] for one in old["items"]], abs=1e-5
            )


def test_nothing_of_the_person_is_left(bundle):
    fresh = without_user(bundle, 4)
    for file in fresh.iterdir():
        assert b"u04" not in file.read_bytes(), file.name
        if file.suffix == ".parquet":
            assert not any(
                "u04" in column.to_list()
                for column in pl.read_parquet(file)
                if column.dtype == pl.String
            )
    arrays = [np.load(fresh / f"{name}.npy") for name in ("user_vectors", "user_self")]
    for rows, whole in zip(arrays, (bundle.user_vectors, bundle.user_self), strict=True):
        assert len(rows) == USERS - 1 and not (rows == whole[4]).all(axis=1).any()
    if (fresh / "states_user.npy").exists():
        assert np.load(fresh / "states_user.npy").shape == (LAYERS, USERS - 1, WIDTH)
        assert Bundle.load(fresh).neighbours["rev_friend"].shape == (USERS - 1, USERS - 1)


def test_done_twice_it_is_the_same_bundle(bundle):
    assert without_user(bundle, 4) == without_user(bundle, 4)


def test_the_only_user_is_not_cut_out(bundle):
    for user in range(USERS - 1):
        if user % 10 == 0:  # three are enough to see that it can be repeated
            bundle = Bundle.load(without_user(bundle, 0))
    assert bundle.users.ids.to_list()[0] == "u03"
    alone = bundle.parts.replaced(Users(bundle.users.subset(np.array([0]))))
    with pytest.raises(UsageError, match="nobody else"):
        without_user(Bundle(alone, bundle.folder), 0)


def test_a_bundle_of_an_older_version_forgets_too(tmp_path):
    copy = tmp_path / OLD_BUNDLE.resolve().name
    shutil.copytree(OLD_BUNDLE, copy)
    old = load_verified(copy)
    fresh = load_verified(without_user(old, 3))
    assert len(fresh.users) == len(old.users) - 1 and old.users.ids[3] not in fresh.users
    [before], [after] = (Lookup(one).recommend([old.users.ids[5]], 5) for one in (old, fresh))
    assert [item["id"] for item in after["items"]] == [item["id"] for item in before["items"]]
