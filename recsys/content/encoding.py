"""How the texts or pictures of further items become vectors: what a bundle holds of a feature."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys.content.cache import VectorCache, cache_folder
from recsys.content.encode import encode_inputs
from recsys.content.encoder import encoder_of
from recsys.content.texts import joined_texts
from recsys.content.tfidf import TfidfEncoder
from recsys.core.arrays import Float32Array
from recsys.core.config import ImageConfig, TextConfig

_LONGEST_PATH = 4096


@dataclass(frozen=True)
class ContentEncoding:
    """How the vectors of further items are made.

    name: of the feature.
    columns: of a table of items, that are joined.
    config: `TextConfig` or `ImageConfig` as JSON.
    cache: folder of the vectors.
    tfidf: the encoder where it was fitted; else `config` names one.
    """

    name: str
    columns: tuple[str, ...]
    config: dict[str, Any]
    cache: str | None = None
    tfidf: TfidfEncoder | None = None

    def with_tfidf(self, tfidf: TfidfEncoder) -> "ContentEncoding":
        return ContentEncoding(self.name, self.columns, self.config, self.cache, tfidf)

    @cached_property
    def settings(self) -> TextConfig | ImageConfig:
        kind = ImageConfig if "column" in self.config else TextConfig
        return kind.model_validate(self.config)

    def inputs_of(self, table: pl.DataFrame) -> list[str]:
        """Of the rows of a table of items: from a column that has the feature's name, or from its
        columns; "" where there is nothing, or no such picture.
        """
        if self.name in table.columns:
            return table[self.name].fill_null("").to_list()
        present = [column for column in self.columns if column in table.columns]
        if not present:
            return [""] * len(table)
        if isinstance(self.settings, TextConfig):
            return joined_texts(table, present, self.settings.max_characters)[0]
        paths, _ = joined_texts(table, present, _LONGEST_PATH)
        return [path if Path(path).is_file() else "" for path in paths]

    def encode(self, inputs: Sequence[str]) -> Float32Array:
        """(n, d) rows of length 1; zeros for "". Raises MachineError where the encoder is not there."""
        if self.tfidf is not None:
            return self.tfidf.encode(inputs)
        if not any(inputs):
            return np.zeros((len(inputs), 0), np.float32)
        cache = VectorCache(cache_folder(self.cache))
        return encode_inputs(encoder_of(self.settings), inputs, self.settings, cache)
