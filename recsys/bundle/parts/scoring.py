"""What scores items: their vectors, and what the histories of users add.

Files:
    search_vectors.npy      item vectors | low-pass and trend | popularity, as queries meet them
    item_item.*.npy         the item–item table, if any
    low_pass_into.npy       low-pass of histories, if any
    met_gain.npy            gains of items under auxiliary behaviours, if any
    histories.*.npy         (users, items) histories of the known users, if anything is added

An older bundle has item_vectors.npy, and search_vectors.npy without the popularity if at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from recsys.bundle.matrices import with_columns, with_rows, without_row
from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.bundle.parts.popularity import Popularity
from recsys.bundle.parts.seen import Seen
from recsys.bundle.storage import load_array, load_matrix, save_array, save_matrix
from recsys.cold_items.new_items import NewItems
from recsys.core.arrays import Float32Array
from recsys.encode.history_scores import HistoryScores
from recsys.search.popularity_boost import with_popularity

_SEARCHED, _OLD_VECTORS = "search_vectors.npy", "item_vectors.npy"
_TABLE, _HISTORIES = "item_item", "histories"
_INTO, _GAINS = "low_pass_into.npy", "met_gain.npy"


@registered
@dataclass(frozen=True)
class Scoring:
    """All that is added up to the score of an item.

    item_vectors: (items, d).
    added: what histories add; None for vectors alone.
    histories: (users, items) float32, the histories of known users; None without `added`.
    boosted_vectors: (items, n) item vectors with the columns of `added.back` behind, and behind
        these the popularity where there is a `boost_unit`.
    boost_unit: what a popularity boost of 1 is in a query (`search.popularity_boost`).
    """

    item_vectors: Float32Array
    added: HistoryScores | None
    histories: sparse.csr_matrix | None
    boosted_vectors: Float32Array
    boost_unit: float | None

    reads: ClassVar[Kinds] = (Popularity, Seen)

    @classmethod
    def of(
        cls,
        item_vectors: Float32Array,
        counts: Float32Array,
        added: HistoryScores | None = None,
        histories: sparse.csr_matrix | None = None,
    ) -> Self:
        """counts: (items,) users who had each item under the target."""
        wide = item_vectors if added is None else np.hstack([item_vectors, added.back])
        boosted, unit = with_popularity(wide, counts)
        return cls(item_vectors, added, histories, boosted, unit)

    @property
    def search_vectors(self) -> Float32Array:
        """(items, d + columns of `added.back`) the vectors without the popularity."""
        if self.boost_unit is None:
            return self.boosted_vectors
        return self.boosted_vectors[:, :-1]

    def check(self, num_users: int, num_items: int) -> None:
        require_rows("item vectors", len(self.item_vectors), num_items)
        if self.histories is not None:
            require_rows(_HISTORIES, self.histories.shape[0], num_users)

    def save(self, folder: Path) -> Facts:
        save_array(folder / _SEARCHED, self.boosted_vectors)
        facts = {"width": int(self.item_vectors.shape[1]), "dial_unit": self.boost_unit}
        return {**facts, "history": self._save_history(folder)}

    def _save_history(self, folder: Path) -> dict[str, Any] | None:
        """half_life; where there are any, the behaviours of the rows of met_gain.npy, and what other
        behaviours weigh in a history.
        """
        added = self.added
        if added is None or self.histories is None:
            return None
        save_matrix(folder, _TABLE, added.table, weighted=True)
        save_matrix(folder, _HISTORIES, self.histories, weighted=True)
        save_array(folder / _INTO, added.into)
        facts: dict[str, Any] = {"half_life": added.half_life_events}
        if added.auxiliary_gains:
            save_array(folder / _GAINS, np.stack(list(added.auxiliary_gains.values())))
            facts["met"] = list(added.auxiliary_gains)
        if added.auxiliary_weights:
            facts["heard"] = dict(added.auxiliary_weights)
        return facts

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        old = folder / _OLD_VECTORS
        searched = folder / _SEARCHED
        boosted = load_array(searched if searched.exists() else old)
        width = load_array(old).shape[1] if old.exists() else facts["width"]
        # The first columns of what is searched: a view, so that vectors are in memory once.
        item_vectors = boosted[:, :width]
        vectors = cls(item_vectors, None, None, boosted, facts.get("dial_unit"))
        if not facts.get("history"):
            return vectors
        back = vectors.search_vectors[:, width:]
        added = _load_history(folder, facts["history"], back)
        histories = load_matrix(folder, _HISTORIES, facts["num_items"], weighted=True)
        return replace(vectors, added=added, histories=histories)

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        """New items add nothing to others and nothing is added to them."""
        counts = parts[Popularity].under(parts[Seen].target)
        item_vectors = np.concatenate([self.item_vectors, new.vectors])
        # Made anew, for the unit of the boost depends on all counts and vectors.
        if self.added is None or self.histories is None:
            return self.of(item_vectors, counts)
        added = _with_items(self.added, len(new))
        return self.of(item_vectors, counts, added, with_columns(self.histories, len(new)))

    def drop_user(self, user: ForgottenUser) -> "Scoring":
        if self.histories is None:
            return self
        return replace(self, histories=without_row(self.histories, user.row))


def _load_history(folder: Path, facts: Mapping[str, Any], back: Float32Array) -> HistoryScores:
    gains = {}
    if facts.get("met"):
        rows = load_array(folder / _GAINS)
        gains = dict(zip(facts["met"], rows, strict=True))
    return HistoryScores(
        table=load_matrix(folder, _TABLE, len(back), True),
        into=load_array(folder / _INTO),
        back=back,
        half_life_events=facts["half_life"],
        auxiliary_gains=gains,
        auxiliary_weights=facts.get("heard", {}),
    )


def _with_items(added: HistoryScores, count: int) -> HistoryScores:
    """With zeros for `count` more items."""
    gains = {}
    for behavior, gain in added.auxiliary_gains.items():
        gains[behavior] = np.pad(gain, (0, count))
    table = with_columns(added.table, count)
    zero_rows = ((0, count), (0, 0))
    return replace(
        added,
        table=with_rows(table, count),
        into=np.pad(added.into, zero_rows),
        back=np.pad(added.back, zero_rows),
        auxiliary_gains=gains,
    )
