"""A trained model's vectors as files of a run folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys.core.artefacts import read_json, write_json
from recsys.core.encoder import Embeddings, EncoderState
from recsys.index.exact import VectorScorer

_ARRAYS = ("users", "items", "user_self")
_OF_USERS = ("users", "user_self")


def save_embeddings(embeddings: Embeddings, folder: Path) -> None:
    """users.npy, items.npy, user_self.npy and the encoder's files."""
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(embeddings, name))
    embeddings.encoder.save(folder)


def load_embeddings(folder: Path) -> Embeddings:
    """What `save_embeddings` wrote; the arrays are mapped."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    return Embeddings(**arrays, encoder=EncoderState.load(folder))


def save_users(embeddings: Embeddings, folder: Path) -> None:
    """What `RecentUsers.embeddings_of` makes anew."""
    for name in _OF_USERS:
        np.save(folder / f"{name}.npy", getattr(embeddings, name))
    np.save(folder / "visitor.npy", embeddings.encoder.visitor)
    write_json(folder / "users.json", {"half_life_events": embeddings.encoder.half_life_events})


def load_users(trained: Embeddings, folder: Path) -> Embeddings:
    """`trained` with what `save_users` wrote; the arrays are mapped."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _OF_USERS}
    visitor, facts = np.load(folder / "visitor.npy"), read_json(folder / "users.json")
    return replace(trained, **arrays, encoder=replace(trained.encoder, visitor=visitor, **facts))


def vectors_of(embeddings: Embeddings) -> VectorScorer:
    """Their inner products."""
    return VectorScorer(embeddings.users, embeddings.items)
