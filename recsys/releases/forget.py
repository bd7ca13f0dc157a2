"""A bundle without one person: every row that is theirs goes, what was learnt from everybody stays."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.bundle import Bundle, write_sealed
from recsys.bundle.storage import load_document, save_array, save_document, save_matrix
from recsys.core.encoder import EncoderState
from recsys.core.errors import UsageError
from recsys.core.tables import USER_ID
from recsys.releases import golden

_USER = "user"


def without_user(bundle: Bundle, user: int) -> Path:
    """Write a bundle beside `bundle` that lacks the user of that dense id; returns it.

    Vectors of items, tables between items, and counts of users stay as they were learnt. Raises
    UsageError for the only user.
    """
    if len(bundle.users) == 1:
        raise UsageError(f"bundle {bundle.name} knows nobody else", "Remove the run folder instead")

    def fill(folder: Path) -> None:
        shutil.copytree(bundle.path.resolve(), folder, dirs_exist_ok=True)
        for file in ("golden.json", "manifest.json"):
            (folder / file).unlink()
        _write_rows(folder, bundle, user)
        _write_sources(folder, bundle, user)

    return write_sealed(bundle.path.resolve().parent, fill, golden.record)


def _write_rows(folder: Path, bundle: Bundle, user: int) -> None:
    """What has one row for each user, and tables that name users."""
    others = np.arange(len(bundle.users)) != user
    for name, values in {
        "user_vectors": bundle.user_vectors,
        "user_self": bundle.user_self,
    }.items():
        save_array(folder / f"{name}.npy", values[others])
    for place, behavior in enumerate(bundle.segments[1:]):
        save_matrix(folder, f"seen_{place}", bundle.seen[behavior][others], weighted=False)
    if bundle.histories is not None:
        save_matrix(folder, "histories", bundle.histories[others], weighted=True)
    pl.DataFrame({USER_ID: bundle.users.ids}).filter(others).write_parquet(folder / "users.parquet")
    if bundle.test_values is not None:
        kept = bundle.test_values.filter(pl.col(USER_ID) != bundle.users.ids[user])
        kept.write_parquet(folder / "test_values.parquet")


def _write_sources(folder: Path, bundle: Bundle, user: int) -> None:
    """Edges into users, of which the person is an end, and their states where users hear users."""
    others = np.arange(len(bundle.users)) != user
    from_users = {one.name for one in bundle.encoder.relations if one.source == _USER}
    facts = load_document(folder / "bundle.json")
    for place, name in enumerate(sorted(bundle.neighbours)):
        matrix = sparse.csr_matrix(bundle.neighbours[name][others])
        matrix = sparse.csr_matrix(matrix[:, others]) if name in from_users else matrix
        save_matrix(folder, f"neighbours_{place}", matrix, weighted=True)
        facts["relations"][name] = int(matrix.shape[1])
    save_document(folder / "bundle.json", facts | {"num_users": facts["num_users"] - 1})
    if from_users:
        _encoder_without(bundle.encoder, user).save(folder)


def _encoder_without(encoder: EncoderState, user: int) -> EncoderState:
    states = {
        kind: np.delete(one, user, axis=1) if kind == _USER else one
        for kind, one in encoder.states.items()
    }
    relations = tuple(
        replace(one, source_degree=np.delete(one.source_degree, user))
        if one.source == _USER
        else one
        for one in encoder.relations
    )
    return replace(encoder, states=states, relations=relations)
