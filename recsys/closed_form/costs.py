"""What a baseline will take, before it starts: formulas in users, items and interactions, with measured constants.

Constants: seconds of one core at 2.5 GHz, from `python -m benchmarks baselines` on Gowalla, Yelp2018 and MovieLens. They are meant to be
right within a factor of two or three, which is what deciding to leave a baseline out takes.
"""

from typing import NamedTuple

_RANK_CELL = 2.5e-9  # scoring by vectors and taking the best, a user and an item
_PAIR = 6e-8  # one multiply-add of a sparse product with a sparse result
_SKEW = 3.0  # Σ d_u² over users / (interactions² / users): activity is uneven
_BLOCK_BYTES = 200_000_000  # working memory of the ranking itself


class Forecast(NamedTuple):
    """Expected wall seconds on one core, and peak bytes beyond the data."""

    seconds: float
    bytes: float


def popularity_cost(users: int, items: int, interactions: int) -> Forecast:
    """Counting, and one ranking."""
    return Forecast(2e-7 * interactions + _rank_seconds(users, items), _BLOCK_BYTES)


def itemknn_cost(users: int, items: int, interactions: int) -> Forecast:
    """The product RᵀR a block of items at a time, the nearest of each item, and rows times the table."""
    products = _products(users, interactions)
    nearest = 100.0 * items
    seconds = _PAIR * products + 6e-5 * items + 2e-8 * interactions * 100 + _rank_seconds(users, items)
    return Forecast(seconds, 16 * nearest + 12 * min(products, 4096.0 * items) + _BLOCK_BYTES)


def ease_cost(users: int, items: int, interactions: int) -> Forecast:
    """A dense Cholesky inverse, items³, and dense rows times the weights."""
    double = items <= 10_000
    seconds = items**3 * (4e-11 if double else 2e-11) + 3e-10 * interactions * items + _rank_seconds(users, items)
    return Forecast(seconds, 3.0 * items**2 * (8 if double else 4) + _BLOCK_BYTES)


def gfcf_cost(users: int, items: int, interactions: int) -> Forecast:
    """256 singular vectors, the filter RᵀR, and for each user the sum of the filter's rows."""
    filled = min(_products(users, interactions), float(items) ** 2)
    lanczos = 1000 * (4e-9 * interactions + 5e-7 * min(users, items))
    scoring = _PAIR / 4 * interactions * filled / max(items, 1) * 2 + 256 * 2.5e-11 * users * items
    seconds = lanczos + _PAIR * filled + scoring + 2 * _rank_seconds(users, items)
    return Forecast(seconds, 12 * filled + 8 * 512 * min(users, items) + 16 * 256 * (users + items) + _BLOCK_BYTES)


def ials_cost(users: int, items: int, interactions: int) -> Forecast:
    """15 rounds of conjugate gradients, 64 wide."""
    return Forecast(
        15 * (3e-7 * interactions + 3e-5 * (users + items)) + _rank_seconds(users, items),
        4 * 64 * (users + items) + 16 * interactions + _BLOCK_BYTES,
    )


def _products(users: int, interactions: int) -> float:
    """Multiply-adds of RᵀR, an upper bound on its entries."""
    return _SKEW * interactions**2 / max(users, 1)


def _rank_seconds(users: int, items: int) -> float:
    return _RANK_CELL * users * items
