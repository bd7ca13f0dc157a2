"""The one bridge between outside ids (strings, in tables) and dense ids (0..n-1, in arrays)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from recsys.core.arrays import Int32Array, IntArray
from recsys.core.errors import DataError, UsageError, nearest

UNKNOWN = -1


@dataclass(frozen=True)
class IdMap:
    """Outside ids by dense id: `ids[dense]`. Ids are unique strings; any text is allowed, the empty
    one too.
    """

    ids: pl.Series
    kind: str = "id"

    def __post_init__(self) -> None:
        if self.ids.dtype != pl.String:
            raise DataError(f"{self.kind} ids must be text, got {self.ids.dtype}")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _dense(self) -> dict[str, int]:
        return {outside: dense for dense, outside in enumerate(self.ids.to_list())}

    @cached_property
    def _outside(self) -> list[str]:
        """The texts that are in `_dense` anyway: a gather in polars costs a hundred times as much
        for a short list.
        """
        return list(self._dense)

    def __contains__(self, outside: object) -> bool:
        return str(outside) in self._dense

    def dense(self, outside: object) -> int:
        """Dense id of one outside id. Raises UsageError naming close ids when it is unknown."""
        found = self._dense.get(str(outside))
        if found is None:
            known = f"{len(self):,} {self.kind}s are known"
            raise UsageError(
                f"unknown {self.kind} {str(outside)!r}",
                nearest(str(outside), self.ids.head(100_000)) or known,
            )
        return found

    def lookup(self, outside: Sequence[object]) -> Int32Array:
        """Dense ids (n,), UNKNOWN (−1) where the outside id is not known."""
        known = self._dense
        return np.fromiter(
            (known.get(str(one), UNKNOWN) for one in outside), dtype=np.int32, count=len(outside)
        )

    def outside(self, dense: IntArray) -> list[str]:
        """Outside ids of dense ids; UNKNOWN is not accepted."""
        if len(dense) and int(np.min(dense)) < 0:
            raise UsageError(f"no {self.kind} has the dense id {int(np.min(dense))}")
        known = self._outside
        return [known[one] for one in np.asarray(dense).tolist()]

    def subset(self, codes: IntArray) -> "IdMap":
        """The map of the ids at `codes`, in that order."""
        return IdMap(self.ids.gather(pl.Series(np.asarray(codes, dtype=np.int64))), self.kind)
