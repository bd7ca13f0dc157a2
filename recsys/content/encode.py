"""Inputs to vectors: what is in the cache from there, the others in batches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recsys.content.cache import VectorCache, key_of
from recsys.content.encoder import Encoder
from recsys.content.tfidf import rows_of_length_1
from recsys.core.arrays import Float32Array
from recsys.core.config import ImageConfig, TextConfig
from recsys.core.errors import DataError
from recsys.core.progress import QUIET, Progress

_CHARACTERS_A_TOKEN = 4  # of English, by the rule of thumb of those who bill by it


def encode_inputs(
    encoder: Encoder,
    inputs: Sequence[str],
    config: TextConfig | ImageConfig,
    cache: VectorCache,
    progress: Progress = QUIET,
) -> Float32Array:
    """(n, d) rows of length 1; zeros for "".

    What it will take is told before it begins. Every batch is cached when it is there, so that a
    run that ends in the middle goes on from there.

    Args:
        encoder: Asked for what the cache lacks.
        inputs: Texts, or paths of pictures.
        config: Of the feature.
        cache: Of vectors.
        progress: Told what is encoded.

    Returns:
        (n, d), d being 0 where every input is "".

    Raises:
        DataError: The encoder gives NaN, infinities, or another width than before.
        MachineError: An endpoint does not answer.
    """
    keys: dict[str, bytes] = {}
    for text in inputs:
        if text and text not in keys:
            keys[text] = key_of(encoder.identity, _content(text, config))
    vectors = cache.get(list(dict.fromkeys(keys.values())))
    missing = {key: text for text, key in keys.items() if key not in vectors}
    _tell(encoder, keys, missing, config, cache, progress)
    width = None
    for vector in vectors.values():
        width = _checked(vector[None], 1, width, encoder.title, config.name)
    batches = _batches(list(missing), config.batch_size)
    for batch in progress.track(batches, config.name, len(batches)):
        encoded = encoder.encode([missing[key] for key in batch])
        width = _checked(encoded, len(batch), width, encoder.title, config.name)
        cache.put(batch, encoded)
        vectors.update(zip(batch, encoded, strict=True))
    if cache.problem is not None:
        progress.say(f"{config.name}: vectors are not kept, {cache.path}: {cache.problem}")
    rows = np.zeros((len(inputs), width or 0), np.float32)
    for row, text in enumerate(inputs):
        if text:
            rows[row] = vectors[keys[text]]
    return rows_of_length_1(rows)


def _content(text: str, config: TextConfig | ImageConfig) -> bytes:
    """What an input stands for: a picture is its bytes, wherever it lies."""
    if isinstance(config, ImageConfig):
        return Path(text).read_bytes()
    return text.encode()


def _batches(keys: list[bytes], size: int) -> list[list[bytes]]:
    return [keys[start : start + size] for start in range(0, len(keys), size)]


def _tell(
    encoder: Encoder,
    keys: dict[str, bytes],
    missing: dict[bytes, str],
    config: TextConfig | ImageConfig,
    cache: VectorCache,
    progress: Progress,
) -> None:
    """Say what is to be encoded, before it is."""
    cost = ""
    if isinstance(config, TextConfig):
        tokens = sum(len(text) for text in missing.values()) // _CHARACTERS_A_TOKEN
        cost = f", about {tokens:,} tokens"
    requests = -(-len(missing) // config.batch_size)
    progress.say(
        f"{config.name}: {len(keys):,} different inputs, {len(missing):,} to encode by {encoder.title} "
        f"in {requests:,} batches{cost}",
        feature=config.name,
        to_encode=len(missing),
        batches=requests,
    )


def _checked(vectors: Float32Array, count: int, width: int | None, title: str, feature: str) -> int:
    """The width. Raises DataError for vectors that cannot be used."""
    if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1]:
        raise DataError(
            f"{title} gives an array of {vectors.shape} for {count} inputs of {feature}",
            "Take a model that gives one vector for each",
        )
    if not np.isfinite(vectors).all():
        raise DataError(
            f"{title} gives a vector that holds NaN or infinities, for {feature}",
            "Take another encoder, or leave out the inputs that it cannot encode",
        )
    if width is not None and vectors.shape[1] != width:
        raise DataError(
            f"{title} gives {vectors.shape[1]} numbers for {feature} where it gave {width} before",
            "Its model changed under the same name: name another features.cache, or the new model",
        )
    return int(vectors.shape[1])
