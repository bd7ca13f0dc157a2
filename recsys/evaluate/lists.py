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

    item_users: (items,) distinct train users of each item. num_users: train users.
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
        order = np.argsort(-self.item_users, kind="stable")
        mask = np.zeros(self.num_items, dtype=bool)
        mask[order[: max(1, round(_HEAD_SHARE * self.num_items))]] = True
        return mask


def catalogue_of(
    train: Interactions, target: str, attributes: sparse.csr_matrix | None = None
) -> Catalogue:
    """The catalogue facts of a phase, counted over its target behaviour."""
    item_users = np.asarray(train.matrix((target,)).sum(axis=0), dtype=np.float64).ravel()
    return Catalogue(item_users, train.num_users, attributes)


def list_metrics(ranked: Int32Array, catalogue: Catalogue) -> dict[str, float]:
    """coverage, novelty, gini, popularity_share, and diversity where there are attributes, of lists
    (n, k).
    """
    shown = ranked[ranked != NO_ITEM]
    exposures = np.bincount(shown, minlength=catalogue.num_items)
    found = {
        "coverage": float(np.count_nonzero(exposures) / catalogue.num_items),
        "novelty": novelty(exposures, catalogue),
        "gini": gini(exposures),
        "popularity_share": float(exposures[catalogue.head()].sum() / max(exposures.sum(), 1)),
    }
    if catalogue.attributes is not None:
        found["diversity"] = diversity(ranked, catalogue.attributes)
    return found


def novelty(exposures: Int64Array, catalogue: Catalogue) -> float:
    """Mean over recommended items of −log2(train users of the item / users); an item without users
    counts as with one.
    """
    share = np.maximum(catalogue.item_users, 1.0) / max(catalogue.num_users, 1)
    return float(-(exposures @ np.log2(share)) / max(exposures.sum(), 1))


def gini(exposures: Int64Array) -> float:
    """Gini coefficient of the exposures of all items, those never shown included: 0 all alike, near
    1 one takes all.
    """
    ordered = np.sort(exposures).astype(np.float64)
    count, total = len(ordered), ordered.sum()
    if not total:
        return 0.0
    return float((2 * np.arange(1, count + 1) - count - 1) @ ordered / (count * total))


def diversity(ranked: Int32Array, attributes: sparse.csr_matrix) -> float:
    """Intra-list diversity: mean 1 − Jaccard of the attributes over the pairs of a list, then over
    lists.

    Pairs with an item that has no attribute are left out, and so is a list without any pair; 0 when
    none has one.
    """
    length = max(ranked.shape[1] * attributes.shape[1], 1)
    step = max(1, _BLOCK_ENTRIES // length)
    blocks = [
        _pair_means(ranked[start : start + step], attributes)
        for start in range(0, len(ranked), step)
    ]
    means = np.concatenate(blocks) if blocks else np.zeros(0)
    return float(np.nanmean(means)) if np.isfinite(means).any() else 0.0


def _pair_means(ranked: Int32Array, attributes: sparse.csr_matrix) -> Float64Array:
    """(n,) mean distance over the pairs of each list; NaN where a list has no pair with attributes."""
    lists, length = ranked.shape
    items = np.where(ranked == NO_ITEM, 0, ranked).ravel()
    values = attributes[items].toarray().astype(np.float32).reshape(lists, length, -1)
    values[ranked == NO_ITEM] = 0.0
    common = values @ values.transpose(0, 2, 1)  # (lists, length, length)
    sizes = values.sum(axis=2)
    pairs = (sizes[:, :, None] > 0) & (sizes[:, None, :] > 0) & ~np.eye(length, dtype=bool)
    union = np.where(pairs, sizes[:, :, None] + sizes[:, None, :] - common, 1.0)
    distance = np.where(pairs, 1.0 - common / union, 0.0).sum(axis=(1, 2), dtype=np.float64)
    count = pairs.sum(axis=(1, 2))
    means = np.full(lists, np.nan)
    np.divide(distance, count, out=means, where=count > 0)
    return means
