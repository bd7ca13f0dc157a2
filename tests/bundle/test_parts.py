"""A bundle is a list of parts: a new one is saved, loaded, lengthened and cut without being named."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from recsys.bundle import part as parts_module
from recsys.bundle.bundle import Bundle
from recsys.bundle.matrices import with_columns, with_rows, without_row
from recsys.bundle.part import ForgottenUser, Part, Parts, registered, registered_kinds
from recsys.bundle.parts.index import Index
from recsys.bundle.parts.scoring import Scoring
from recsys.bundle.parts.similar_items import SimilarItems
from recsys.bundle.parts.users import Users
from recsys.core.errors import DataError, UsageError
from recsys.lookup.lookup import Lookup
from recsys.releases.forget import without_user
from recsys.releases.publish import load_verified, write_bundle
from worlds import ITEMS, USERS, make_contents, make_contents_with_genres


@pytest.fixture
def notes_kind(monkeypatch):
    """A part that nobody else knows: a number of each user, and one of each item."""
    monkeypatch.setattr(parts_module, "_REGISTERED", list(parts_module._REGISTERED))

    @registered
    @dataclass(frozen=True)
    class Notes:
        of_users: np.ndarray
        of_items: np.ndarray

        reads: ClassVar[tuple[type[Part], ...]] = (Users,)

        def check(self, num_users: int, num_items: int) -> None:
            if (len(self.of_users), len(self.of_items)) != (num_users, num_items):
                raise UsageError("notes of others", "Write your own")

        def save(self, folder: Path) -> Mapping[str, Any]:
            np.save(folder / "notes_users.npy", self.of_users)
            np.save(folder / "notes_items.npy", self.of_items)
            return {"notes": len(self.of_users)}

        @classmethod
        def load(cls, folder: Path, facts: Mapping[str, Any], parts: Parts):
            if "notes" not in facts:
                return None
            assert len(parts[Users].ids) == facts["notes"]
            of_users, of_items = (np.load(folder / f"notes_{n}.npy") for n in ("users", "items"))
            return cls(of_users, of_items)

        def append_items(self, new, parts: Parts):
            return replace(self, of_items=np.append(self.of_items, np.full(len(new), -1)))

        def drop_user(self, user: ForgottenUser):
            return replace(self, of_users=np.delete(self.of_users, user.row))

    return Notes


def test_a_part_of_a_test_lives_in_every_bundle(notes_kind, tmp_path):
    notes = notes_kind(np.arange(USERS) * 10, np.arange(ITEMS))
    plain = make_contents_with_genres().bundle()
    path = write_bundle(tmp_path, plain.with_parts(notes))
    loaded = load_verified(path)
    assert loaded.parts[notes_kind].of_users.tolist() == notes.of_users.tolist()
    assert (path / "notes_users.npy").exists() and path != write_bundle(tmp_path, plain)

    table = pl.DataFrame({"item_id": ["n1"], "genres": ["drama"]})
    longer = load_verified(
        write_bundle(tmp_path, loaded.append_items(loaded.read_new_items(table)))
    )
    assert longer.parts[notes_kind].of_items.tolist() == [*range(ITEMS), -1]

    shorter = load_verified(without_user(longer, 3))
    assert 30 not in shorter.parts[notes_kind].of_users
    assert len(shorter.parts[notes_kind].of_users) == USERS - 1
    assert len(shorter.parts[notes_kind].of_items) == ITEMS + 1

    with pytest.raises(UsageError, match="notes of others"):
        write_bundle(tmp_path, plain.with_parts(notes_kind(np.arange(2), np.arange(ITEMS))))


def test_a_bundle_of_before_lacks_the_part(notes_kind, bundle):
    assert Bundle.load(bundle.path).parts.get(notes_kind) is None
    with pytest.raises(DataError, match=r"lacks the part Notes.*recsys index"):
        bundle.parts[notes_kind]


def test_parts_come_behind_those_that_they_read():
    kinds = registered_kinds()
    assert {Index, Scoring, Users} <= set(kinds)
    for kind in kinds:
        assert all(kinds.index(read) < kinds.index(kind) for read in kind.reads)


def test_a_bundle_in_memory_answers_as_the_one_written(tmp_path):
    world = make_contents().bundle()
    written = Bundle.load(write_bundle(tmp_path, world))
    assert Lookup(world).recommend(["u04"], 9) == Lookup(written).recommend(["u04"], 9)
    with pytest.raises(UsageError, match="not written"):
        _ = world.path


def test_popularity_stays_as_learnt_when_items_follow_a_forgotten_user(tmp_path):
    first = Bundle.load(write_bundle(tmp_path, make_contents_with_genres().bundle()))
    cut = Bundle.load(without_user(first, 2))
    table = pl.DataFrame({"item_id": ["n1"], "genres": ["drama"]})
    longer = cut.append_items(cut.read_new_items(table))
    assert np.array_equal(longer.popularity[:, :ITEMS], first.popularity)


def test_matrices_with_more_and_less():
    matrix = make_contents().interactions.matrix()
    wide = with_columns(matrix, 3)
    assert wide.shape == (USERS, ITEMS + 3) and (wide[:, :ITEMS] != matrix).nnz == 0
    tall = with_rows(matrix, 2)
    assert tall.shape == (USERS + 2, ITEMS) and tall[USERS:].nnz == 0
    short = without_row(matrix, 5)
    assert np.array_equal(short.toarray(), np.delete(matrix.toarray(), 5, axis=0))


@pytest.mark.parametrize("by", ["vectors", "visitor"])
def test_what_items_are_similar_by_stays_in_the_bundle(tmp_path, by):
    """With items added and a user forgotten; a bundle that does not say goes by the vectors."""
    written = make_contents_with_genres().bundle().with_parts(SimilarItems(by))
    loaded = load_verified(write_bundle(tmp_path, written))
    assert loaded.similar_by == by
    new = loaded.read_new_items(pl.DataFrame({"item_id": ["new"], "genres": ["Comedy"]}))
    assert loaded.append_items(new).similar_by == by
    assert loaded.drop_user(3).similar_by == by
    older = load_verified(write_bundle(tmp_path, make_contents_with_genres().bundle()))
    assert older.similar_by == "vectors" and older.parts.get(SimilarItems) is None
