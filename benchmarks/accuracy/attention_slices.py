"""Whom attention helps: one row minus another on slices of the test, paired by user."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.accuracy import kept
from benchmarks.accuracy.compare import paired
from recsys.core.arrays import Float64Array, Int32Array, Int64Array
from recsys.core.interactions import DAY_SECONDS
from recsys.evaluate.lists import catalogue_of
from recsys.evaluate.metrics import METRICS, evaluable_users, match
from recsys.evaluate.slices import Slice, slices_of
from recsys.phases.phase import Phase

AGE = "age of the last event"


def slice_facts(final: Phase, cache: Path, row: str, other: str) -> list[dict[str, Any]]:
    """NDCG@10 of both rows on every slice of the test, with the interval of their difference.

    Args:
        final: the phase whose test judged both.
        cache: of the dataset; every seed that it holds of a row counts alike.
        row, other: names.

    Returns:
        `group`, `label`, `users`, and the figures of `compare.paired`, a slice.
    """
    train, held_out = final.interactions, final.judge.held_out_matrix
    slices = list(slices_of(train, held_out, final.target, catalogue_of(train, final.target)))
    slices += age_slices(final)
    facts = []
    for test_slice in slices:
        members = evaluable_users(test_slice.held_out)
        if not len(members):
            continue
        ours = _ndcg(cache, row, members, test_slice.held_out)
        theirs = _ndcg(cache, other, members, test_slice.held_out)
        figures: dict[str, Any] = {
            "group": test_slice.group,
            "label": test_slice.label,
            "users": len(members),
        }
        facts.append(figures | paired(ours, theirs))
    return facts


def age_slices(final: Phase) -> Iterator[Slice]:
    """Quarters of the test users by the days from their last event to the end of train; equal ages
    stay together. None without a clock.
    """
    moments = final.interactions.moments
    held_out = final.judge.held_out_matrix
    users = evaluable_users(held_out)
    if moments is None or not len(users):
        return
    last = np.zeros(final.interactions.num_users, np.int64)
    np.maximum.at(last, final.interactions.user, moments)
    age: Int64Array = (moments.max() - last) // DAY_SECONDS

    edges = np.quantile(age[users], [0.25, 0.5, 0.75, 1.0], method="higher")
    below = -1
    for edge in np.unique(edges):
        inside = (age > below) & (age <= edge)
        first = age[users][inside[users]].min()
        label = f"{first:,}–{edge:,} days" if first < edge else f"{edge:,} days"
        members = sparse.diags(inside.astype(np.float32)) @ held_out
        members.eliminate_zeros()
        yield Slice(AGE, label, members.tocsr())
        below = edge


def _ndcg(cache: Path, row: str, members: Int32Array, held_out: sparse.csr_matrix) -> Float64Array:
    """(members,) NDCG@10 of the row's lists, averaged over its seeds."""
    by_seed = []
    for seed in kept.required_seeds(cache, row):
        lists = kept.lists(cache, row, seed)
        ranked = lists.ranked[np.searchsorted(lists.users, members)]
        by_seed.append(METRICS["ndcg"](match(ranked, members, held_out), 10))
    return np.asarray(np.mean(by_seed, axis=0))
