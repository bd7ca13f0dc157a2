"""What users did, row by row: what later events of known users are put behind.

Files:
    history_rows.indptr.npy     (users + 1,) where the rows of each user begin and end
    history_rows.<field>.npy    (rows,) item, behavior, weight and, where the log has times, time

bundle.json says whether the times are seconds or an order; those of older bundles are seconds.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.bundle.storage import load_array, save_array
from recsys.cold_items.new_items import NewItems
from recsys.core.history import UserHistories, user_histories
from recsys.core.interactions import Interactions
from recsys.core.later_events import Duplicates

_NAME = "history_rows"


@registered
@dataclass(frozen=True)
class HistoryRows:
    """Edges and weighted histories follow from these rows; an older bundle lacks them.

    histories: of all users.
    duplicates: what the log makes of a repeated pair of user, item and behaviour.
    """

    histories: UserHistories
    duplicates: Duplicates = "first"

    reads: ClassVar[Kinds] = ()

    @classmethod
    def of(cls, interactions: Interactions, duplicates: Duplicates) -> Self:
        return cls(user_histories(interactions), duplicates)

    def check(self, num_users: int, num_items: int) -> None:
        require_rows("histories", self.histories.num_users, num_users)
        require_rows("items of histories", self.histories.num_items, num_items)

    def save(self, folder: Path) -> Facts:
        histories = self.histories
        save_array(folder / f"{_NAME}.indptr.npy", histories.indptr)
        save_array(folder / f"{_NAME}.item.npy", histories.item)
        save_array(folder / f"{_NAME}.behavior.npy", histories.behavior)
        save_array(folder / f"{_NAME}.weight.npy", histories.weight)
        if histories.time is not None:
            save_array(folder / f"{_NAME}.time.npy", histories.time)
        return {"duplicates": self.duplicates, "time_kind": histories.time_kind}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self | None:
        if not (folder / f"{_NAME}.indptr.npy").exists():
            return None
        time = folder / f"{_NAME}.time.npy"
        histories = UserHistories(
            indptr=load_array(folder / f"{_NAME}.indptr.npy"),
            item=load_array(folder / f"{_NAME}.item.npy"),
            behavior=load_array(folder / f"{_NAME}.behavior.npy"),
            weight=load_array(folder / f"{_NAME}.weight.npy"),
            time=load_array(time) if time.exists() else None,
            behaviors=tuple(facts["behaviors"]),
            num_items=facts["num_items"],
            time_kind=facts.get("time_kind", "seconds"),
        )
        return cls(histories, facts["duplicates"])

    def append_items(self, new: NewItems, parts: Parts) -> "HistoryRows":
        num_items = self.histories.num_items + len(new)
        return replace(self, histories=replace(self.histories, num_items=num_items))

    def drop_user(self, user: ForgottenUser) -> "HistoryRows":
        histories = self.histories
        num_rows = np.delete(np.diff(histories.indptr), user.row)
        others = histories.user != user.row
        fewer = replace(
            histories,
            indptr=np.concatenate([[0], np.cumsum(num_rows)]),
            item=histories.item[others],
            behavior=histories.behavior[others],
            weight=histories.weight[others],
            time=None if histories.time is None else histories.time[others],
        )
        return replace(self, histories=fewer)
