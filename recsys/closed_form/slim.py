"""SLIM: every item regressed on the items that co-occur with it most, one small system each.

The sparse linear method of Ning and Karypis (2011) with their neighbourhood selection (fsSLIM) and
the closed form of EASE (Steck 2019) in place of an iterative solver. Where EASE inverts one matrix
of all items, this solves one of a few hundred for each item, so it fits catalogues that EASE does
not.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from recsys.closed_form.item_item import item_item_tables
from recsys.closed_form.linear import LinearScorer
from recsys.core.interactions import Interactions


def fit_slim(
    interactions: Interactions, target: str, settings: Sequence[tuple[int, float]]
) -> Iterator[LinearScorer]:
    """One model for each (neighbours, ridge), in order: score_ui = Σ w_ji over the items j of user
    u, with the columns w_i ≥ 0 of `item_item_tables`.

    Settings in a row with the same number of neighbours share their sources and Gram matrices.
    Raises UsageError for fewer neighbours than one or a ridge that is not above 0.
    """
    rows = interactions.matrix((target,))
    for neighbours, group in groupby(settings, itemgetter(0)):
        ridges = list(map(itemgetter(1), group))
        for table in item_item_tables(rows, neighbours, ridges):
            yield LinearScorer(rows, table)
