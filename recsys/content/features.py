"""What is known of the texts or pictures of a log's items: read and encoded once, fitted by phase."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from recsys.content.cache import VectorCache, cache_folder
from recsys.content.encode import encode_inputs
from recsys.content.encoder import encoder_of
from recsys.content.encoding import ContentEncoding
from recsys.content.sources import CONTENT, columns_of, read_inputs
from recsys.content.tfidf import DIMENSIONS, fit_tfidf
from recsys.core.arrays import Float32Array
from recsys.core.config import DataConfig, FeaturesConfig, ImageConfig, TextConfig
from recsys.core.ids import IdMap
from recsys.core.progress import QUIET, Progress
from recsys.core.table_files import read_parquet
from recsys.core.tables import ITEM_ID, Drops


@dataclass(frozen=True)
class ContentRows:
    """One feature of all items that are known, those of the log first.

    config: of the feature.
    columns: in a table of new items.
    inputs: ITEM_ID, CONTENT.
    vectors: (rows, d); None where they are fitted on the items of a phase.
    cache: folder of the vectors; where the user's is when None.
    """

    config: TextConfig | ImageConfig
    columns: tuple[str, ...]
    inputs: pl.DataFrame
    vectors: Float32Array | None
    cache: str | None = None

    def of(self, item_ids: pl.Series) -> pl.Series:
        """CONTENT of some items, "" where nothing is known."""
        rows = self._ids.lookup(item_ids.to_list())
        contents = self.inputs[CONTENT].to_numpy()
        # UNKNOWN, −1, would read the last row: the first is read in its place and thrown away.
        texts = np.where(rows >= 0, contents[np.maximum(rows, 0)], "")
        return pl.Series(self.config.name, texts.tolist(), pl.String)

    def fitted(self, item_ids: pl.Series, seed: int) -> "ContentFeature":
        """As a phase with these items has it."""
        encoding = ContentEncoding(
            self.config.name, self.columns, self.config.model_dump(mode="json"), self.cache
        )
        if self.vectors is not None:
            rows = self._ids.lookup(item_ids.to_list())
            return ContentFeature(encoding, np.asarray(self.vectors[rows]))
        texts = self.of(item_ids).to_list()
        dimensions = getattr(self.config, "dimensions", None) or DIMENSIONS
        tfidf = fit_tfidf(texts, dimensions, seed)
        return ContentFeature(encoding.with_tfidf(tfidf), tfidf.encode(texts))

    @cached_property
    def _ids(self) -> IdMap:
        return IdMap(self.inputs[ITEM_ID], "item")


@dataclass(frozen=True)
class ContentFeature:
    """One feature of a phase. vectors: (items, d) rows of length 1, zeros where nothing is known."""

    encoding: ContentEncoding
    vectors: Float32Array


def read_contents(
    features: FeaturesConfig, data: DataConfig, items: pl.DataFrame, progress: Progress = QUIET
) -> tuple[list[ContentRows], Drops]:
    """Every feature that is configured, with its vectors where they need no phase; and what is missing.

    Args:
        features: Configured.
        data: How tables are read.
        items: The item table, of all that is known.
        progress: Told what is encoded.

    Returns:
        A `ContentRows` for each, and the drops of all.

    Raises:
        ConfigError: A column is not there.
        DataError: A model or its vectors cannot be used.
        MachineError: A package, key or endpoint is not there.
    """
    contents = []
    drops = Drops()
    for config in features.all:
        inputs, lost = read_inputs(config, data, items)
        for reason, count in lost.items():
            drops[f"{config.name}: {reason}"] += count
        vectors = None
        if config.encoder != "tfidf":
            cache = VectorCache(cache_folder(features.cache))
            texts = inputs[CONTENT].to_list()
            vectors = encode_inputs(encoder_of(config), texts, config, cache, progress)
        columns = tuple(columns_of(config, data))
        contents.append(ContentRows(config, columns, inputs, vectors, features.cache))
    return contents, drops


def save_contents(contents: Sequence[ContentRows], folder: Path) -> None:
    """Numbered Parquet files of inputs and .npy files of vectors."""
    for number, content in enumerate(contents):
        content.inputs.write_parquet(folder / f"{number}.parquet")
        (folder / f"{number}.json").write_text(json.dumps(list(content.columns)))
        if content.vectors is not None:
            np.save(folder / f"{number}.npy", content.vectors)


def load_contents(folder: Path, features: FeaturesConfig) -> list[ContentRows]:
    """What `save_contents` wrote, vectors mapped."""
    contents = []
    for number, config in enumerate(features.all):
        columns = tuple(json.loads((folder / f"{number}.json").read_text()))
        inputs = read_parquet(folder / f"{number}.parquet")
        file = folder / f"{number}.npy"
        vectors = np.load(file, mmap_mode="r") if file.exists() else None
        contents.append(ContentRows(config, columns, inputs, vectors, features.cache))
    return contents
