"""The lists that the test judges, whatever rows their scorer was trained on.

What was trained on train alone is judged as what was trained on train + validation: on the same
users and pairs, with what users had in validation hidden from their lists.
"""

import numpy as np
from scipy import sparse

from recsys.core.arrays import Int32Array
from recsys.core.ids import UNKNOWN
from recsys.core.interactions import dense_of
from recsys.core.ranking import NO_ITEM, Scorer
from recsys.phases.phase import Phase
from recsys.search.exact import rank


def lists_on_test(
    scorer: Scorer, learned: Phase, final: Phase, k: int, users: Int32Array | None = None
) -> Int32Array:
    """Lists of test users in the internal ids of the phase "final".

    Args:
        scorer: in the ids of `learned`.
        learned: what the scorer was trained on: `final`, or a phase of fewer rows.
        final: whose test judges.
        k: length of a list.
        users: (n,) internal ids of `final`; all that have something in the test when None.

    Returns:
        (n, k) internal item ids; NO_ITEM alone for users whom `learned` does not know.
    """
    users = final.judge.held_out_users if users is None else users
    if learned is final:
        return final.judge.ranked(scorer, k, users)
    own = learned.interactions
    user_codes = final.interactions.user_codes[users]
    own_users = dense_of(user_codes, own.user_codes)
    known = own_users != UNKNOWN
    hidden = _seen_in_ids_of(learned, final)
    own_lists = rank(scorer, own_users[known], k, hidden, threads=final.config.threads).items

    # The number of each of its items in `final`; NO_ITEM is the last place, and stays.
    item_ids = np.append(dense_of(own.item_codes, final.interactions.item_codes), NO_ITEM)
    lists = np.full((len(users), k), NO_ITEM, np.int32)
    lists[known] = item_ids[own_lists]
    return lists


def _seen_in_ids_of(learned: Phase, final: Phase) -> sparse.csr_matrix:
    """(users, items) of `learned`: what users have seen in `final`, all of whose ids it shares."""
    own, whole = learned.interactions, final.interactions
    rows = dense_of(own.user_codes, whole.user_codes)
    columns = dense_of(own.item_codes, whole.item_codes)
    return final.seen[rows][:, columns].tocsr()
