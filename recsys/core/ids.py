"""The one bridge between external ids (text, in tables) and internal ids (0..n-1, in arrays).

Every id that a caller gives, a cell of a table, a value of Python or a number of numpy, becomes text
by one rule: `id_text` for a value, `id_column` for a column. So 42, 42.0 and numpy.int64(42) are
"42", and text stays as written.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from recsys.core.arrays import Int32Array, IntArray
from recsys.core.errors import DataError, UsageError, nearest

UNKNOWN = -1

WHOLE_FLOAT = r"^(-?\d+)\.0+$"
"""Text like 42.0, which pandas writes for whole numbers beside gaps."""
LARGEST_EXACT = 2.0**53  # every whole number up to here has a float of its own
_AT_ONCE = 16_384
_WHOLE = re.compile(WHOLE_FLOAT)


def id_text(value: object) -> str | None:
    """The id that one value of Python or numpy stands for; None for what holds no id (None, NaN).

    Whole floats and decimals read as integers, true and false as "true" and "false", bytes as
    UTF-8, numpy scalars as what they hold; text stays as written, blanks included.
    """
    if isinstance(value, str):
        return str(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    # Before integers: to Python, a bool is an int.
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return _float_text(value)
    if isinstance(value, Decimal):
        return None if value.is_nan() else _WHOLE.sub(r"\1", str(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return id_text(value.item())
    return str(value)


def _float_text(value: float | np.floating) -> str | None:
    number = float(value)
    if math.isnan(number):
        return None
    if number.is_integer() and abs(number) <= LARGEST_EXACT:
        return str(int(number))
    # Polars writes other floats in its own way (1e-7): the id of a cell must be that of a value.
    kind = pl.Float32 if isinstance(value, np.float32 | np.float16) else pl.Float64
    cell = pl.Series([number], dtype=kind)
    return str(cell.cast(pl.String).item())


def id_column(raw: pl.Expr, kind: pl.DataType, whole_floats: bool = False) -> pl.Expr:
    """The same for a column of the type `kind`: ids as text, null where there is none.

    whole_floats: the text of this column is floats, "42.0" say, and stands for integers.
    """
    if kind.is_float():
        number = raw.fill_nan(None)
        is_whole = number == number.floor()
        is_exact = number.is_between(-LARGEST_EXACT, LARGEST_EXACT) & is_whole
        # Not strict: polars computes both branches for all rows, and 1e300 is no Int64.
        integer = number.cast(pl.Int64, strict=False).cast(pl.String)
        return pl.when(is_exact).then(integer).otherwise(number.cast(pl.String))
    if kind == pl.Binary:
        return raw.cast(pl.String, strict=False)
    text = raw.cast(pl.String)
    if whole_floats or kind.is_decimal():
        return text.str.replace(WHOLE_FLOAT, "$1")
    return text


def holds_whole_floats(texts: pl.Series) -> bool:
    """Whether every value of a text column reads like 42.0."""
    known = texts.drop_nulls()
    return bool(len(known)) and bool(known.str.contains(WHOLE_FLOAT).all())


@dataclass(frozen=True)
class IdMap:
    """External ids by internal id: `ids[internal]`. Ids are unique text; the empty one is allowed."""

    ids: pl.Series
    kind: str = "id"

    def __post_init__(self) -> None:
        if self.ids.dtype != pl.String:
            raise DataError(f"{self.kind} ids must be text, got {self.ids.dtype}")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _internal(self) -> dict[str, int]:
        internal: dict[str, int] = {}
        # Making a list of a column holds all other threads up, for a fifth of a second a million.
        for start in range(0, len(self), _AT_ONCE):
            texts = self.ids[start : start + _AT_ONCE].to_list()
            for position, external in enumerate(texts, start):
                internal[external] = position
        return internal

    @cached_property
    def _external(self) -> list[str]:
        """The texts that are in `_internal` anyway: a gather in polars costs a hundred times as
        much for a short list.
        """
        # A dict keeps the order in which keys came: that of the internal ids.
        return list(self._internal)

    def __contains__(self, external: object) -> bool:
        return id_text(external) in self._internal

    def internal(self, external: object) -> int:
        """Internal id of one external id. Raises UsageError naming close ids when it is unknown."""
        text = id_text(external)
        if text is not None and text in self._internal:
            return self._internal[text]
        known = f"{len(self):,} {self.kind}s are known"
        # Comparing takes time for each id: a typo must not hold the caller up.
        candidates = self.ids.head(100_000).to_list()
        close = nearest(str(text), candidates)
        message = f"unknown {self.kind} {text!r}"
        raise UsageError(message, close or known, code=f"unknown_{self.kind}")

    def lookup(self, external: Sequence[object]) -> Int32Array:
        """Internal ids (n,), UNKNOWN (−1) where the external id is not known."""
        places: Mapping[Any, int] = self._internal
        internal = []
        for value in external:
            # Most ids come as text already. None, which holds no id, is no key.
            text = value if type(value) is str else id_text(value)
            internal.append(places.get(text, UNKNOWN))
        return np.array(internal, np.int32)

    def external(self, internal: IntArray) -> list[str]:
        """External ids of internal ids; UNKNOWN is not accepted."""
        if len(internal) and int(np.min(internal)) < 0:
            raise UsageError(f"no {self.kind} has the internal id {int(np.min(internal))}")
        texts = self._external
        return [texts[position] for position in np.asarray(internal).tolist()]

    def subset(self, codes: IntArray) -> "IdMap":
        """The map of the ids at `codes`, in that order."""
        positions = pl.Series(np.asarray(codes, dtype=np.int64))
        return IdMap(self.ids.gather(positions), self.kind)
