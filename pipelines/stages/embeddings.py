"""A trained model's vectors as files of a run folder."""

from pathlib import Path

import numpy as np

from recsys.core.encoder import Embeddings, EncoderState
from recsys.index.exact import VectorScorer

_ARRAYS = ("users", "items", "user_self")


def save_embeddings(embeddings: Embeddings, folder: Path) -> None:
    """users.npy, items.npy, user_self.npy and the encoder's files."""
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(embeddings, name))
    embeddings.encoder.save(folder)


def load_embeddings(folder: Path) -> Embeddings:
    """What `save_embeddings` wrote; the arrays are mapped."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    return Embeddings(**arrays, encoder=EncoderState.load(folder))


def vectors_of(folder: Path) -> VectorScorer:
    """The inner products of saved vectors."""
    found = load_embeddings(folder)
    return VectorScorer(found.users, found.items)
