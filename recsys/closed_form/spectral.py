"""Truncated SVD of the interaction matrix: exact, deterministic, and the start states it gives a
model.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import svds
from threadpoolctl import threadpool_limits

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from recsys.core.errors import UsageError
from recsys.core.interactions import Interactions

_ENTRY_SCALE = 0.1  # root mean square of a start state's entries: that of LightGCN's normal draws
_DENSE_ENTRIES = 4_000_000  # up to here the dense SVD is fast, and can give every rank


class Factors(NamedTuple):
    """matrix ≈ left · diag(values) · rightᵀ.

    left: (rows, rank), values: (rank,) descending, right: (columns, rank); float64, orthonormal
    columns. The entry of largest size in each column of `right` is positive.
    """

    left: Float64Array
    values: Float64Array
    right: Float64Array


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


def truncated_svd(matrix: sparse.csr_matrix, rank: int, seed: int = 0) -> Factors:
    """The `rank` largest singular triplets, to rounding (a randomised SVD costs GF-CF 0.9 % of its
    Recall).

    The same arguments give the same bytes. Fewer come back where the matrix has fewer:
    min(matrix.shape), less one above four million entries. Raises UsageError for a rank below 1.
    """
    if rank < 1:
        raise UsageError(f"rank = {rank} singular vectors is less than one", "Ask for at least 1")
    num_rows, num_columns = matrix.shape
    # Lanczos is bound by memory: more BLAS threads only add waiting, several times over where
    # others use the cores too.
    with threadpool_limits(1, "blas"):
        if num_rows * num_columns <= _DENSE_ENTRIES:
            dense = matrix.toarray().astype(np.float64)
            left, values, right = linalg.svd(dense, full_matrices=False)
        else:
            smaller = min(num_rows, num_columns)
            start = np.random.default_rng(seed).standard_normal(smaller)
            largest_rank = min(rank, smaller - 1)
            left, values, right = svds(matrix.astype(np.float64), k=largest_rank, v0=start)
    strongest = np.argsort(-values, kind="stable")[:rank]
    return _signed(left[:, strongest], values[strongest], right[strongest].T)


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
    factors = truncated_svd(normalised(pairs), width, seed)

    # U √s and V √s
    roots = np.sqrt(factors.values)
    users = factors.left * roots
    items = factors.right * roots

    # One number for both makes the root mean square of all entries 0.1.
    mean_square = (np.sum(users**2) + np.sum(items**2)) / (users.size + items.size)
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


def _signed(left: Float64Array, values: Float64Array, right: Float64Array) -> Factors:
    """Triplets whose signs are settled by the largest entry of each right vector."""
    largest = np.abs(right).argmax(axis=0)
    columns = np.arange(right.shape[1])
    signs = np.where(right[largest, columns] < 0, -1.0, 1.0)
    signed_left = np.ascontiguousarray(left * signs)
    signed_right = np.ascontiguousarray(right * signs)
    return Factors(signed_left, values, signed_right)


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
