"""Lists by buckets of users are those of one file."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import content_sha256
from recsys.core.errors import UsageError
from recsys.core.progress import QUIET
from recsys.core.runners import LocalRunner
from recsys.lookup.batch_buckets import Asked, write_parts
from recsys.lookup.lookup import Lookup
from recsys.search.exact import VectorScorer, divide, rank, rows_at_once


@given(st.integers(0, 3_000), st.integers(1, 400_000), st.integers(1, 9))
def test_buckets_are_all_users_once_in_whole_steps(users: int, items: int, buckets: int) -> None:
    stretches = divide(users, items, buckets)
    assert [number for stretch in stretches for number in range(*stretch)] == list(range(users))
    assert len(stretches) <= buckets
    assert all(start % rows_at_once(items) == 0 for start, _ in stretches)


def test_scores_in_a_bucket_are_those_among_all_to_the_last_bit(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.search.exact._BLOCK_BYTES", 4 * 700 * 13)  # 13 users at once
    vectors = [rng.normal(size=(count, 24)).astype(np.float32) for count in (101, 700)]
    scorer = VectorScorer(*vectors)
    users = np.arange(101, dtype=np.int32)
    together = rank(scorer, users, 7)
    for start, end in divide(101, 700, 4):
        apart = rank(scorer, users[start:end], 7)
        assert np.array_equal(apart.items, together.items[start:end])
        assert np.array_equal(apart.scores, together.scores[start:end])


@pytest.mark.parametrize("users", [None, ["ann", "bob"]], ids=["all", "some"])
def test_parts_are_the_rows_of_one_file(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: list[str] | None
) -> None:
    monkeypatch.setattr("recsys.search.exact._BLOCK_BYTES", 1)  # a user at once
    if users is not None:
        users = bundle.users.ids.head(2).to_list()
    Lookup(bundle).batch(users, 3, tmp_path / "one.parquet")
    one = pl.read_parquet(tmp_path / "one.parquet")
    asked = Asked(str(bundle.path), 3, True, 0.0)
    rows = write_parts(asked, users, 2, tmp_path / "parts", LocalRunner(), QUIET)
    parts = sorted((tmp_path / "parts").iterdir())
    assert [part.name for part in parts] == ["part-00000.parquet", "part-00001.parquet"]
    assert pl.concat([pl.read_parquet(part) for part in parts]).equals(one) and rows == len(one)
    assert not list(tmp_path.glob(".*"))

    before = content_sha256(tmp_path / "parts")
    write_parts(asked, users, 2, tmp_path / "parts", LocalRunner(), QUIET)
    assert content_sha256(tmp_path / "parts") == before


def test_other_files_are_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        write_parts(Asked(str(bundle.path), 3, True, 0.0), None, 2, tmp_path, LocalRunner(), QUIET)
