"""What is held out from a phase, and how a scorer does on it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float64Array, Int32Array
from recsys.core.errors import UsageError
from recsys.core.ids import UNKNOWN
from recsys.core.interactions import HeldOut, dense_of, hold_out, holds
from recsys.core.ranking import Scorer
from recsys.core.tables import ITEM, TIME, USER
from recsys.evaluate.deciding import VALIDATION_USERS, deciding_per_user
from recsys.evaluate.metrics import PerUser, evaluable_users, evenly
from recsys.phases.data import PhaseData
from recsys.search.exact import rank


@dataclass(frozen=True)
class Judge:
    """Held-out rows of a phase, in the internal ids of the phase.

    data: what was learned from; what users have seen there is hidden from their lists.
    """

    data: PhaseData

    @cached_property
    def held_out(self) -> HeldOut:
        """Validation pairs for "select", test pairs for "final".

        Where evaluate.task = "new", only those of items that their users met under no behaviour.
        Raises UsageError for "serve", which learns from everything.
        """
        if self.data.name == "serve":
            raise UsageError("nothing is held out from the phase 'serve'")
        splits = self.data.required_splits
        rows = splits.validation if self.data.name == "select" else splits.test
        held_out = hold_out(rows, self.data.interactions)
        if self.data.config.evaluate.task == "new":
            return held_out.without(self.data.seen)
        return held_out

    @cached_property
    def held_out_matrix(self) -> sparse.csr_matrix:
        """(users, items) with an entry for each held-out pair."""
        interactions = self.data.interactions
        return self.held_out.matrix(interactions.num_users, interactions.num_items)

    @cached_property
    def moments(self) -> Float64Array:
        """(users,) unix seconds of the first of each user's held-out rows that count, when their lists
        are asked for; NaN where nothing is held out, or the log has no clock.
        """
        data = self.data
        first = np.full(data.interactions.num_users, np.inf)
        if data.interactions.moments is not None:
            splits = data.required_splits
            rows = splits.validation if data.name == "select" else splits.test
            user = dense_of(rows[USER].to_numpy(), data.interactions.user_codes)
            item = dense_of(rows[ITEM].to_numpy(), data.interactions.item_codes)
            is_warm = (user != UNKNOWN) & (item != UNKNOWN)
            counts = np.zeros(len(rows), bool)
            counts[is_warm] = holds(self.held_out_matrix, user[is_warm], item[is_warm])
            np.minimum.at(first, user[counts], rows[TIME].to_numpy()[counts])
        first[np.isinf(first)] = np.nan
        return first

    @cached_property
    def held_out_users(self) -> Int32Array:
        """Warm users with something held out, ascending; of validation `VALIDATION_USERS` at most."""
        users = evaluable_users(self.held_out_matrix)
        return evenly(users, VALIDATION_USERS) if self.data.name == "select" else users

    def ranked(self, scorer: Scorer, k: int, users: Int32Array | None = None) -> Int32Array:
        """(users, k) internal item ids: the lists of `scorer`, without what their users have seen.

        users: all of `held_out_users` when None.
        """
        users = self.held_out_users if users is None else users
        return rank(scorer, users, k, self.data.seen, threads=self.data.config.threads).items

    def ndcg(self, scorer: Scorer, users: Int32Array | None = None) -> float:
        """Mean of the deciding metric at `train.metric_k` (NDCG): the number that every choice of a run looks at.

        users: all of `held_out_users` when None.
        """
        return float(self.per_user(scorer, users).mean())

    def per_user(self, scorer: Scorer, users: Int32Array | None = None) -> PerUser:
        """(users,) the deciding metric at `train.metric_k` of each user; users: see `ndcg`."""
        k = self.data.config.train.metric_k
        users = self.held_out_users if users is None else users
        lists = self.ranked(scorer, k, users)
        return deciding_per_user(lists, users, self.held_out_matrix, k)
