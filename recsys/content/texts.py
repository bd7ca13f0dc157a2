"""What several columns say, as one text."""

import unicodedata
from collections.abc import Sequence

import polars as pl

from recsys.core.tables import Drops

MISSING = "item without content"
CUT = "text cut"


def joined_texts(
    table: pl.DataFrame, columns: Sequence[str], max_characters: int
) -> tuple[list[str], Drops]:
    """The text of every row, its columns joined by lines; and how many are missing and cut."""
    parts = [_as_text(table[column]) for column in columns]
    texts = []
    drops = Drops()
    for row in zip(*parts, strict=True):
        stripped = [text.strip() for text in row if text is not None]
        present = [text for text in stripped if text]
        # One spelling of letters that have two, é say.
        text = unicodedata.normalize("NFC", "\n".join(present))
        if not text:
            drops[MISSING] += 1
        elif len(text) > max_characters:
            drops[CUT] += 1
        texts.append(text[:max_characters])
    return texts, drops


def _as_text(column: pl.Series) -> list[str | None]:
    """Of each row; lists as words with spaces between."""
    if isinstance(column.dtype, pl.List | pl.Array):
        words = column.cast(pl.List(pl.String))
        return words.list.join(" ", ignore_nulls=True).to_list()
    return column.cast(pl.String).to_list()
