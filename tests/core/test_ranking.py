import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recsys.core.ranking import NO_ITEM, top_k

LEVELS = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])


def _naive(row: np.ndarray, k: int) -> list[int]:
    order = sorted((-score, item) for item, score in enumerate(row) if score > -np.inf)
    best = [item for _, item in order[:k]]
    return best + [NO_ITEM] * (k - len(best))


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=LEVELS),
    st.integers(1, 15),
)
def test_equals_a_full_sort_with_ties_to_the_smaller_id(scores: np.ndarray, k: int) -> None:
    hits = top_k(scores, k)
    assert hits.items.tolist() == [_naive(row, k) for row in scores]
    assert np.isneginf(hits.scores[hits.items == NO_ITEM]).all()
