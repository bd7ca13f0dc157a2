"""The normalised matrix of a log, and the start states that its singular vectors give a model."""

import numpy as np
from scipy import sparse

from recsys.closed_form.svd import truncated_svd
from recsys.core.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from recsys.core.interactions import Interactions

_START_RESIDUAL = 1e-4
"""Of the singular vectors that a training starts from, which it moves anyway: half the time of those to
rounding, of which they span the same but for 1 in 100,000.
"""
_ENTRY_SCALE = 0.1  # root mean square of a start state's entries: that of LightGCN's normal draws


def normalised(
    matrix: sparse.csr_matrix, user_exponent: float = 0.5, item_exponent: float = 0.5
) -> sparse.csr_matrix:
    """D_u^(−user_exponent) · R · D_i^(−item_exponent) in float64; rows and columns of zeros stay
    zero.
    """
    user_degrees = np.asarray(matrix.sum(axis=1)).ravel()
    item_degrees = np.asarray(matrix.sum(axis=0)).ravel()
    by_user = sparse.diags(_inverse_power(user_degrees, user_exponent))
    by_item = sparse.diags(_inverse_power(item_degrees, item_exponent))
    scaled = by_user @ matrix.astype(np.float64) @ by_item
    return scaled.tocsr()


def start_states(
    interactions: Interactions, target: str, width: int, seed: int = 0
) -> dict[str, Float32Array]:
    """Layer-0 states of "user" (users, width) and "item" (items, width) from the target behaviour's
    matrix.

    U·√s and V·√s of D_u^(−½) R D_i^(−½), times one number that makes the root mean square of all
    entries 0.1: the inner products keep their proportions. Columns past the rank, and nodes without
    a pair of the target behaviour, are filled with normal draws a hundredth that size, so that no
    state is zero.
    """
    pairs = interactions.matrix((target,))
    factors = truncated_svd(normalised(pairs), width, seed, residual=_START_RESIDUAL)

    # U √s and V √s
    roots = np.sqrt(factors.values)
    users = factors.left * roots
    items = factors.right * roots

    # One number for both makes the root mean square of all entries 0.1.
    mean_square = (np.sum(users**2) + np.sum(items**2)) / max(users.size + items.size, 1)
    scale = _ENTRY_SCALE / max(np.sqrt(mean_square), 1e-12)

    # Known by the counts: an iterative SVD leaves a trace of 1e-18 in rows that ought to be zero.
    users_without_pairs = pairs.getnnz(axis=1) == 0
    items_without_pairs = pairs.getnnz(axis=0) == 0
    draws = np.random.default_rng(seed)
    return {
        "user": _filled(users * scale, users_without_pairs, width, draws),
        "item": _filled(items * scale, items_without_pairs, width, draws),
    }


def _inverse_power(degrees: FloatArray, exponent: float) -> Float64Array:
    powers = np.zeros(len(degrees))
    np.power(degrees, -exponent, out=powers, where=degrees > 0)
    return powers


def _filled(
    states: Float64Array, without_pairs: BoolArray, width: int, draws: np.random.Generator
) -> Float32Array:
    """(n, width): states of nodes with pairs, small normal draws everywhere else.

    Args:
        states: (n, rank ≤ width).
        without_pairs: (n,) nodes without a pair of the target behaviour.
        width: of the model.
        draws: consumed by n × width numbers.
    """
    filled = draws.standard_normal((len(states), width)) * (_ENTRY_SCALE / 100)
    rank = states.shape[1]
    with_pairs = ~without_pairs
    filled[with_pairs, :rank] = states[with_pairs]
    return filled.astype(np.float32)
