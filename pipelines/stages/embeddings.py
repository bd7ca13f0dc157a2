"""A trained model's vectors as files of a run folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys.core.arrays import Float32Array
from recsys.core.artefacts import read_json, write_json
from recsys.core.encoder import Embeddings, EncoderState
from recsys.search.exact import VectorScorer

_ARRAYS = ("users", "items", "user_self", "item_lengths")
_SHAPED = ("users", "user_self", "items")


def save_embeddings(embeddings: Embeddings, folder: Path) -> None:
    """users.npy, items.npy, user_self.npy, item_lengths.npy where there are any, and the encoder's
    files.
    """
    for name in _ARRAYS:
        if getattr(embeddings, name) is not None:
            np.save(folder / f"{name}.npy", getattr(embeddings, name))
    embeddings.encoder.save(folder)


def load_embeddings(folder: Path) -> Embeddings:
    """What `save_embeddings` wrote; the arrays are mapped."""
    return Embeddings(**_arrays(folder, _ARRAYS), encoder=EncoderState.load(folder))


def save_scaled(found: Embeddings, trained: Embeddings, folder: Path) -> None:
    """What `TrainedVectors.embeddings_of` made anew from `trained`."""
    for name in _SHAPED:
        if getattr(found, name) is not getattr(trained, name):
            np.save(folder / f"{name}.npy", getattr(found, name))
    np.save(folder / "visitor.npy", found.encoder.visitor)
    write_json(folder / "encoder.json", {"half_life_events": found.encoder.half_life_events})


def load_scaled(trained: Embeddings, folder: Path) -> Embeddings:
    """`trained` with what `save_scaled` wrote; the arrays are mapped."""
    visitor, facts = np.load(folder / "visitor.npy"), read_json(folder / "encoder.json")
    return replace(
        trained,
        **_arrays(folder, _SHAPED),
        encoder=replace(trained.encoder, visitor=visitor, **facts),
    )


def _arrays(folder: Path, names: tuple[str, ...]) -> dict[str, Float32Array]:
    """Those of the arrays that there are, mapped."""
    paths = {name: folder / f"{name}.npy" for name in names}
    return {name: np.load(path, mmap_mode="r") for name, path in paths.items() if path.exists()}


def vectors_of(embeddings: Embeddings) -> VectorScorer:
    """Their inner products."""
    return VectorScorer(embeddings.users, embeddings.items)
