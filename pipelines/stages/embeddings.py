"""A trained model's vectors as files of a run folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recsys.core.arrays import Float32Array
from recsys.core.artefacts import read_json, write_json
from recsys.core.encoder import Embeddings, EncoderState
from recsys.search.exact import VectorScorer

_TRAINED = ("users", "items", "user_self", "item_lengths")
_SCALED = ("users", "user_self", "items")


def save_embeddings(embeddings: Embeddings, folder: Path) -> None:
    """users.npy, items.npy, user_self.npy, the files of the encoder, and item_lengths.npy if any."""
    for name in _TRAINED:
        array = getattr(embeddings, name)
        if array is not None:
            np.save(folder / f"{name}.npy", array)
    embeddings.encoder.save(folder)


def load_embeddings(folder: Path) -> Embeddings:
    """What `save_embeddings` wrote; the arrays are mapped."""
    encoder = EncoderState.load(folder)
    return Embeddings(**_arrays(folder, _TRAINED), encoder=encoder)


def save_scaled(scaled: Embeddings, trained: Embeddings, folder: Path) -> None:
    """What `TrainedVectors.embeddings_of` made anew from `trained`."""
    for name in _SCALED:
        array = getattr(scaled, name)
        if array is not getattr(trained, name):
            np.save(folder / f"{name}.npy", array)
    np.save(folder / "visitor.npy", scaled.encoder.visitor)
    np.save(folder / "layer_weights.npy", scaled.encoder.layer_weights)
    facts: dict[str, Any] = {"half_life_events": scaled.encoder.half_life_events}
    if trained.encoder.causal_block and not scaled.encoder.causal_block:
        facts["causal_block"] = {}
    write_json(folder / "encoder.json", facts)


def load_scaled(trained: Embeddings, folder: Path) -> Embeddings:
    """`trained` with what `save_scaled` wrote; the arrays are mapped."""
    visitor = np.load(folder / "visitor.npy")
    facts = read_json(folder / "encoder.json")
    encoder = replace(trained.encoder, visitor=visitor, **facts)
    if (folder / "layer_weights.npy").exists():  # not of 0.1
        encoder = replace(encoder, layer_weights=np.load(folder / "layer_weights.npy"))
    return replace(trained, **_arrays(folder, _SCALED), encoder=encoder)


def _arrays(folder: Path, names: tuple[str, ...]) -> dict[str, Float32Array]:
    """Those of the arrays that there are, mapped."""
    arrays = {}
    for name in names:
        file = folder / f"{name}.npy"
        if file.exists():
            arrays[name] = np.load(file, mmap_mode="r")
    return arrays


def vectors_of(embeddings: Embeddings) -> VectorScorer:
    """Their inner products."""
    return VectorScorer(embeddings.users, embeddings.items)
