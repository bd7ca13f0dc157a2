"""Exact lists of the known users of a bundle, by both stages."""

from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import BoolArray, Float64Array, Int32Array
from recsys.core.ranking import Hits, Scorer
from recsys.search.exact import rank


def rank_known(
    bundle: Bundle,
    users: Int32Array,
    k: int,
    seen: sparse.csr_matrix | None,
    allow: BoolArray | None = None,
    boosted: Scorer | None = None,
    moments: Float64Array | None = None,
) -> Hits:
    """The k best items of each user, as they are served.

    Args:
        bundle: What answers.
        users: Internal ids.
        k: Length of the lists.
        seen: (all users, items) what is left out.
        allow: (items,) what may be recommended.
        boosted: Scores with a popularity boost, in place of the bundle's own.
        moments: (users,) unix seconds at which their lists are asked for; the end of the log when None.

    Returns:
        (users, k).
    """
    stage = bundle.second_stage
    scorer = bundle.scorer if boosted is None else boosted
    if stage is None:
        return rank(scorer, users, k, seen, allow)
    num_candidates = min(stage.num_candidates(k), len(bundle.items))
    hits = rank(scorer, users, num_candidates, seen, allow)
    excluded = None if seen is None else seen[users]
    known = bundle.known_users(users, moments)
    return stage.rerank(known, hits, k, excluded, allow, boosted=boosted is not None)
