"""What a baseline will take, before it starts: formulas in users, items and interactions, with
measured constants.

Constants: seconds of one core, fitted to `python -m benchmarks baselines` on Gowalla, Yelp2018 and
MovieLens. They are meant to be right within a factor of two or three, which is what deciding to
leave a baseline out takes.
"""

from typing import NamedTuple

DOUBLE_ITEMS = 10_000
"""EASE computes in float64 up to here (0.8 GB a matrix), in float32 above, whose error is far below
λ.
"""
GRAM_BYTES = 800_000_000
"""Sparse regressions cut their Gram matrices out of a dense one up to this size, and count each above:
20,000 items where counts fit into 16 bits.
"""
BLOCK_BYTES = 200_000_000
"""Working memory of the ranking itself."""

_RANK_CELL = 3e-9  # scoring by vectors and taking the best, a user and an item
_PRODUCT, _PRODUCT_SPREAD = (
    1e-9,
    1e-12,
)  # a multiply-add of a sparse product, and more of it as rows outgrow the cache
_SCATTER = 3e-13  # the same for rows times the filter, whose rows lie apart
_REGRESSION = 8e-4  # one item's small system: its sources' Gram matrix and its solution
_CUT_REGRESSION = 2.2e-4  # the same where the Gram matrix is cut out of a dense one
_COLUMN = 5e-8  # of the columns of popular sources, a source and an interaction
_SKEW = 3.0  # Σ d_u² over users / (interactions² / users): activity is uneven


class Forecast(NamedTuple):
    """Expected wall seconds on one core, and peak bytes beyond the data."""

    seconds: float
    bytes: float


def popularity_cost(users: int, items: int, interactions: int) -> Forecast:
    """Counting, and one ranking."""
    return Forecast(2e-7 * interactions + rank_seconds(users, items), BLOCK_BYTES)


def itemknn_cost(users: int, items: int, interactions: int) -> Forecast:
    """The product RᵀR a block of items at a time, the nearest of each item, and rows times the
    table.
    """
    products = _products(users, interactions)
    multiplying = products * _product_seconds(items)
    nearest = 1e-4 * items
    scoring = 1e-8 * interactions * 100
    seconds = multiplying + nearest + scoring + rank_seconds(users, items)

    table_bytes = 16 * 100 * items
    product_bytes = 20 * min(products, 4096.0 * items)
    return Forecast(seconds, table_bytes + product_bytes + BLOCK_BYTES)


def ease_cost(users: int, items: int, interactions: int) -> Forecast:
    """A dense Cholesky inverse of the smaller Gram matrix, cubed, and dense rows times the weights."""
    side = min(users, items)
    entry_bytes = 8 if side <= DOUBLE_ITEMS else 4
    inverting = side**3 * entry_bytes * 1e-11
    scoring = 3e-10 * interactions * side + 1e-8 * users * items
    seconds = inverting + scoring + rank_seconds(users, items)
    # The inverse and the weights made of it; float32 tables of this setting and of the best so far.
    matrix_bytes = (2.0 * entry_bytes + 2.0 * 4) * side**2
    return Forecast(seconds, matrix_bytes + BLOCK_BYTES)


def slim_cost(users: int, items: int, interactions: int) -> Forecast:
    """The product XᵀX that chooses sources, a system of 100 unknowns for each item, and rows times
    the table.
    """
    products = _products(users, interactions)
    choosing = products * _product_seconds(items)
    solving = _REGRESSION * items + _COLUMN * 100 * interactions
    is_dense = 2 * items**2 <= GRAM_BYTES
    if is_dense:
        solving = _CUT_REGRESSION * items
    scoring = 1e-8 * interactions * 100
    seconds = choosing + solving + scoring + rank_seconds(users, items)

    # Sources, and four tables at once.
    table_bytes = (8 + 4 * 12) * 100 * items
    block_bytes = 12 * min(products, 2.0**25)
    gram_bytes = 12 * min(products, float(items) ** 2) + 4.0 * items**2 if is_dense else 0.0
    return Forecast(seconds, table_bytes + block_bytes + gram_bytes + BLOCK_BYTES)


def gfcf_cost(users: int, items: int, interactions: int) -> Forecast:
    """256 singular vectors, the filter RᵀR where items are fewer than users, and for each user the
    sum of the filter's rows and a product 256 wide.
    """
    smaller = min(users, items)
    lanczos = 1000 * (4e-9 * interactions + 5e-7 * smaller)

    products = _products(users, interactions)
    entries = min(products, float(items) ** 2)
    sums = min(float(interactions) * items, 2 * interactions * entries / max(items, 1))
    if users <= items:
        multiplying, filter_bytes = 0.0, 20.0 * interactions
        # A user's history by way of those who share an item with it: at most every row of the log.
        sums = min(sums, float(users) * interactions)
    else:
        multiplying, filter_bytes = products * _product_seconds(items), 20 * entries
    scoring = sums * (_PRODUCT + _SCATTER * items) + 1.5e-8 * users * items
    seconds = lanczos + multiplying + scoring + rank_seconds(users, items)

    lanczos_bytes = 8 * 512 * smaller
    vector_bytes = 16 * 256 * (users + items)
    return Forecast(seconds, filter_bytes + lanczos_bytes + vector_bytes + BLOCK_BYTES)


def ials_cost(users: int, items: int, interactions: int) -> Forecast:
    """15 rounds of conjugate gradients, 64 wide."""
    nodes = users + items
    rounds = 15 * (2.5e-7 * interactions + 1.2e-5 * nodes)
    seconds = rounds + rank_seconds(users, items)
    vector_bytes = 4 * 64 * nodes
    matrix_bytes = 16 * interactions
    return Forecast(seconds, vector_bytes + matrix_bytes + BLOCK_BYTES)


def _products(users: int, interactions: int) -> float:
    """Multiply-adds of RᵀR, an upper bound on its entries."""
    return _SKEW * interactions**2 / max(users, 1)


def _product_seconds(items: int) -> float:
    return 5 * _PRODUCT + _PRODUCT_SPREAD * items


def rank_seconds(users: int, items: int) -> float:
    """Scoring every item for every user, and taking the best."""
    return _RANK_CELL * users * items
