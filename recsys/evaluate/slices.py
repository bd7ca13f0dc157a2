"""Who is served well and who is not: the deciding metric on parts of the test users and rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Int32Array, IntArray
from recsys.core.interactions import HeldOut, Interactions
from recsys.evaluate.deciding import list_length
from recsys.evaluate.document import SliceRow
from recsys.evaluate.lists import Catalogue
from recsys.evaluate.metrics import METRICS, evaluable_users, match

BEHAVIOR_GROUP = "behaviour"
MIN_USERS = 100
"""A slice with fewer users is shown, and left out when the worst one is named."""

SPARSE = 5


class Slice(NamedTuple):
    """Part of the test: held-out pairs (users, items) of one kind."""

    group: str
    label: str
    held_out: sparse.csr_matrix


def slices_of(
    train: Interactions, held_out: sparse.csr_matrix, target: str, catalogue: Catalogue
) -> Iterator[Slice]:
    """By the user's history length, by the item's popularity, and by what the user did with the
    item under other behaviours.

    Sparse users and items, of whom train holds at most SPARSE pairs, are slices of their own
    besides.
    """
    yield from _by_history(np.diff(train.matrix((target,)).indptr), held_out)
    yield from _by_popularity(catalogue, held_out)
    yield from _sparse(train.matrix((target,)), held_out)
    yield from _by_behavior(train, held_out, target)


def slice_rows(
    slices: Sequence[Slice] | Iterator[Slice],
    ranked: Mapping[str, Int32Array],
    users: Int32Array,
    deciding: str,
) -> list[SliceRow]:
    """The deciding metric of every model on every slice that holds a pair.

    Args:
        slices: Parts of the test.
        ranked: By model, (n, k) lists.
        users: (n,) internal ids of their users, ascending.
        deciding: Name of the deciding metric, as "name@k".

    Returns:
        A row for each slice.
    """
    hit_rate = f"hr@{list_length(deciding)}"
    rows = []
    for test_slice in slices:
        members = evaluable_users(test_slice.held_out)
        if not len(members):
            continue
        places = np.searchsorted(users, members)
        values, hits = {}, {}
        for name, lists in ranked.items():
            member_lists = lists[places]
            values[name] = _mean(member_lists, members, test_slice.held_out, deciding)
            hits[name] = _mean(member_lists, members, test_slice.held_out, hit_rate)
        row = SliceRow(
            group=test_slice.group,
            label=test_slice.label,
            users=len(members),
            rows=test_slice.held_out.nnz,
            values=values,
            hit_rates=hits if test_slice.group == BEHAVIOR_GROUP else {},
            small=len(members) < MIN_USERS,
        )
        rows.append(row)
    return rows


def cold_rows(held_out: HeldOut) -> list[SliceRow]:
    """Held-out rows that no model fitted on train can be asked about: counted, not averaged."""
    rows = []
    for reason in ("cold user", "cold item"):
        count = held_out.dropped[reason]
        if count:
            label = f"{reason}s' rows"
            rows.append(
                SliceRow(group="not in train", label=label, users=0, rows=count, small=True)
            )
    return rows


def worst_slice(rows: Sequence[SliceRow], main: str, overall: float, deciding: str) -> str:
    """A sentence naming the slice with the smallest value among those with at least MIN_USERS
    users.
    """
    eligible = [row for row in rows if not row.small and main in row.values]
    if not eligible:
        return f"No slice has {MIN_USERS} test users, too few to name the worst."
    worst = min(eligible, key=lambda row: row.values[main])
    value = worst.values[main]
    share = value / overall if overall else 0.0
    return (
        f"Worst slice: {worst.group}, {worst.label} ({worst.users:,} users): "
        f"{deciding.upper()} {value:.4f}, {share:.0%} of the overall {overall:.4f}."
    )


def _mean(
    ranked: Int32Array, users: Int32Array, held_out: sparse.csr_matrix, deciding: str
) -> float:
    name, _, k = deciding.partition("@")
    values = METRICS[name](match(ranked, users, held_out), int(k))
    return float(values.mean())


def _by_history(lengths: IntArray, held_out: sparse.csr_matrix) -> Iterator[Slice]:
    """Quarters of the test users by the number of their train interactions; equal numbers stay
    together.
    """
    users = evaluable_users(held_out)
    if not len(users):
        return
    user_lengths = lengths[users]
    quarters = np.quantile(user_lengths, [0.25, 0.5, 0.75, 1.0], method="higher")
    below = -1
    for edge in np.unique(quarters):
        inside = (lengths > below) & (lengths <= edge)
        first = user_lengths[inside[users]].min()
        label = f"{first}–{edge} interactions" if first < edge else f"{edge} interactions"
        yield Slice("history length", label, _keep(held_out, rows=inside))
        below = edge


def _by_popularity(catalogue: Catalogue, held_out: sparse.csr_matrix) -> Iterator[Slice]:
    """The most popular tenth of the catalogue, the next four tenths, and the rest."""
    by_popularity = np.argsort(-catalogue.item_users, kind="stable")
    rank = np.empty(catalogue.num_items, np.int64)
    rank[by_popularity] = np.arange(catalogue.num_items)
    head, middle = catalogue.head(), rank < catalogue.num_items / 2
    yield Slice("item popularity", "top 10 % of items", _keep(held_out, columns=head))
    yield Slice("item popularity", "next 40 % of items", _keep(held_out, columns=middle & ~head))
    yield Slice("item popularity", "bottom 50 % of items", _keep(held_out, columns=~middle & ~head))


def _sparse(pairs: sparse.csr_matrix, held_out: sparse.csr_matrix) -> Iterator[Slice]:
    """Users with few pairs, and items with few; not where all have few."""
    few_rows = np.diff(pairs.indptr) <= SPARSE
    users_of_items = np.asarray(pairs.sum(axis=0)).ravel()
    few_columns = users_of_items <= SPARSE
    users = Slice("sparse users", f"at most {SPARSE} interactions", _keep(held_out, rows=few_rows))
    items = Slice("sparse items", f"at most {SPARSE} users", _keep(held_out, columns=few_columns))
    for test_slice in (users, items):
        if test_slice.held_out.nnz < held_out.nnz:
            yield test_slice


def _by_behavior(train: Interactions, held_out: sparse.csr_matrix, target: str) -> Iterator[Slice]:
    """Pairs that train holds under other behaviours (viewed before bought), and pairs that are new
    altogether.
    """
    others = [behavior for behavior in train.behaviors if behavior != target]
    for behavior in others:
        known = train.matrix((behavior,))
        yield Slice(
            BEHAVIOR_GROUP, f"pair with {behavior} in train", held_out.multiply(known).tocsr()
        )
    if others:
        known = train.matrix(tuple(others))
        if len(others) > 1:
            yield Slice(
                BEHAVIOR_GROUP, "pair with any of them in train", held_out.multiply(known).tocsr()
            )
        new = (held_out - held_out.multiply(known)).tocsr()
        new.eliminate_zeros()
        yield Slice(BEHAVIOR_GROUP, "new pair", new)


def _keep(
    held_out: sparse.csr_matrix,
    rows: BoolArray | None = None,
    columns: BoolArray | None = None,
) -> sparse.csr_matrix:
    """The pairs of some users, of some items, or of both; all users or items where None."""
    pairs = held_out
    if rows is not None:
        pairs = sparse.diags(rows.astype(np.float32)) @ pairs
    if columns is not None:
        pairs = pairs @ sparse.diags(columns.astype(np.float32))
    pairs = pairs.tocsr()
    pairs.eliminate_zeros()
    return pairs
