"""What a set of recommendation lists is like as a whole, whether or not it hits: coverage, novelty,
concentration.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Float64Array, Int32Array, Int64Array
from recsys.core.interactions import Interactions
from recsys.core.ranking import NO_ITEM

_HEAD_SHARE = 0.1
_BLOCK_ENTRIES = (
    8_000_000  # entries of the dense attribute block that diversity holds at a time: 32 MB
)


@dataclass(frozen=True)
class Catalogue:
    """Facts of train that list-level metrics need.

    item_users: (items,) distinct train users of each item.
    num_users: train users.
    attributes: (items, values) 0/1 matrix, or None when items have no attributes.
    """

    item_users: Float64Array
    num_users: int
    attributes: sparse.csr_matrix | None = None

    @property
    def num_items(self) -> int:
        return len(self.item_users)

    def head(self) -> BoolArray:
        """(items,) the most popular tenth of the catalogue, at least one item; ties to the smaller
        id.
        """
        by_popularity = np.argsort(-self.item_users, kind="stable")
        size = max(1, round(_HEAD_SHARE * self.num_items))
        mask = np.zeros(self.num_items, dtype=bool)
        mask[by_popularity[:size]] = True
        return mask


def catalogue_of(
    train: Interactions, target: str, attributes: sparse.csr_matrix | None = None
) -> Catalogue:
    """The catalogue facts of a phase, counted over its target behaviour."""
    pairs = train.matrix((target,))
    item_users = np.asarray(pairs.sum(axis=0), dtype=np.float64)
    return Catalogue(item_users.ravel(), train.num_users, attributes)


def list_metrics(ranked: Int32Array, catalogue: Catalogue) -> dict[str, float]:
    """coverage, novelty, gini, popularity_share, and diversity where there are attributes, of lists
    (n, k).
    """
    shown = ranked[ranked != NO_ITEM]
    exposures = np.bincount(shown, minlength=catalogue.num_items)
    shown_items = np.count_nonzero(exposures)
    head_exposures = exposures[catalogue.head()].sum()
    metrics = {
        "coverage": float(shown_items / catalogue.num_items),
        "novelty": novelty(exposures, catalogue),
        "gini": gini(exposures),
        "popularity_share": float(head_exposures / max(len(shown), 1)),
    }
    if catalogue.attributes is not None:
        metrics["diversity"] = diversity(ranked, catalogue.attributes)
    return metrics


def novelty(exposures: Int64Array, catalogue: Catalogue) -> float:
    """Mean over recommended items of −log2(train users of the item / users); an item without users
    counts as with one.
    """
    users = np.maximum(catalogue.item_users, 1.0)
    share = users / max(catalogue.num_users, 1)
    # Self-information of every item in bits, weighted by how often the item is recommended.
    total_bits = -(exposures @ np.log2(share))
    return float(total_bits / max(exposures.sum(), 1))


def gini(exposures: Int64Array) -> float:
    """Gini coefficient of the exposures of all items, those never shown included: 0 all alike, near
    1 one takes all.
    """
    ordered = np.sort(exposures).astype(np.float64)
    count = len(ordered)
    total = ordered.sum()
    if not total:
        return 0.0
    # G = Σ_i (2 i − n − 1) x_i / (n Σ x), x ascending and i from 1.
    ranks = np.arange(1, count + 1)
    weights = 2 * ranks - count - 1
    return float(weights @ ordered / (count * total))


def diversity(ranked: Int32Array, attributes: sparse.csr_matrix) -> float:
    """Intra-list diversity: mean 1 − Jaccard of the attributes over the pairs of a list, then over
    lists.

    Pairs with an item that has no attribute are left out, and so is a list without any pair; 0 when
    none has one.
    """
    entries_per_list = max(ranked.shape[1] * attributes.shape[1], 1)
    lists_per_block = max(1, _BLOCK_ENTRIES // entries_per_list)
    means = np.full(len(ranked), np.nan)
    for start in range(0, len(ranked), lists_per_block):
        block = slice(start, start + lists_per_block)
        means[block] = _pair_means(ranked[block], attributes)
    if not np.isfinite(means).any():
        return 0.0
    return float(np.nanmean(means))


def _pair_means(ranked: Int32Array, attributes: sparse.csr_matrix) -> Float64Array:
    """(n,) mean distance over the pairs of each list; NaN where a list has no pair with attributes."""
    lists, length = ranked.shape
    is_padding = ranked == NO_ITEM
    items = np.where(is_padding, 0, ranked)
    rows = attributes[items.ravel()].toarray().astype(np.float32)
    values = rows.reshape(lists, length, -1)  # (lists, length, values)
    values[is_padding] = 0.0
    # Jaccard: |A ∩ B| / |A ∪ B|, and |A ∪ B| = |A| + |B| − |A ∩ B|.
    common = values @ values.transpose(0, 2, 1)  # (lists, length, length)
    sizes = values.sum(axis=2)
    first_sizes = sizes[:, :, None]
    second_sizes = sizes[:, None, :]
    # A pair counts where both have attributes; an item with itself is no pair.
    counted = (first_sizes > 0) & (second_sizes > 0)
    counted &= ~np.eye(length, dtype=bool)
    union = np.where(counted, first_sizes + second_sizes - common, 1.0)
    distance = np.where(counted, 1.0 - common / union, 0.0)
    total = distance.sum(axis=(1, 2), dtype=np.float64)
    pairs = counted.sum(axis=(1, 2))
    means = np.full(lists, np.nan)
    np.divide(total, pairs, out=means, where=pairs > 0)
    return means
