"""Columns of items and users as numbers that trees read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float64Array

_MOST_CATEGORIES = 63
_FEWEST_OWNERS = 10  # of a value that is a category


class Column(NamedTuple):
    """A column of n items.

    numbers: (n,) its numbers, or those of categories; NaN where there is none.
    values: (n, values) 1 for each value of an item; None where the column holds numbers.
    """

    numbers: Float64Array
    values: sparse.csr_matrix | None = None


def common_values(values: sparse.csr_matrix, labels: Sequence[str]) -> list[str]:
    """Values that enough of n owners have, the most common first.

    values: (n, values) with an entry for each value of an owner. labels: of the values.
    """
    counts = np.asarray(values.astype(bool).sum(axis=0)).ravel()
    order = sorted(range(len(labels)), key=lambda value: (-counts[value], labels[value]))
    common = [labels[value] for value in order if counts[value] >= _FEWEST_OWNERS]
    return common[:_MOST_CATEGORIES]


def codes_of(labels: Sequence[str], categories: Sequence[str]) -> Float64Array:
    """(values,) number of each value; −1 for one that is no category."""
    number_of = {value: number for number, value in enumerate(categories)}
    return np.array([number_of.get(label, -1) for label in labels], np.float64)


def category_numbers(values: sparse.csr_matrix, codes: Float64Array) -> Float64Array:
    """(n,) number of each owner's category, that of the rarest among several; NaN for none.

    values: (n, values) with an entry for each value. codes: (values,) see `codes_of`.
    """
    numbers = np.full(values.shape[0], -1.0)
    owner = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
    np.maximum.at(numbers, owner, codes[values.indices])
    numbers[numbers < 0] = np.nan
    return numbers
