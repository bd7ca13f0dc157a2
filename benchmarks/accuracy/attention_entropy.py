"""How far attention departs from what it would be without the states of neighbours: its entropy
over the prior's.
"""

import numpy as np

from recsys.core.arrays import Float64Array, Int64Array


def entropy(logits: Float64Array, indptr: Int64Array) -> Float64Array:
    """(targets,) entropy in nats of the softmax within each row; 0 for rows without edges.

    logits: (edges,), those of a target from indptr[target] on.
    """
    counts = np.diff(indptr)
    present = np.flatnonzero(counts)
    starts = indptr[present]
    largest = np.maximum.reduceat(logits, starts)
    shifted = logits - np.repeat(largest, counts[present])

    # −Σ α ln α with α = e^s / Σ e^s is ln Σ e^s − Σ s e^s / Σ e^s.
    weight = np.exp(shifted)
    total = np.add.reduceat(weight, starts)
    weighted = np.add.reduceat(weight * shifted, starts)
    by_target = np.zeros(len(counts))
    by_target[present] = np.log(total) - weighted / total
    return by_target


def entropy_by_neighbours(
    prior: Float64Array, logits: Float64Array, indptr: Int64Array
) -> list[dict[str, float]]:
    """Entropy of attention over that of the prior, of targets with at least 2 neighbours.

    Args:
        prior: (edges,) logits without the states of neighbours.
        logits: (heads, edges) logits of attention.
        indptr: (targets + 1,) where the edges of each target begin and end.

    Returns:
        By powers of 2 of the number of neighbours (`degree`): how many `targets`, the `median` of
        the ratio and the ends `low` and `high` of its middle 80 %; `uniform`: the median of the
        prior's entropy over that of equal weights.
    """
    num_neighbours = np.diff(indptr)
    of_prior = entropy(prior, indptr)
    of_heads = np.mean([entropy(head, indptr) for head in logits], axis=0)
    ratio = of_heads / np.where(of_prior > 0, of_prior, 1)
    # Equal weights have the entropy ln n.
    to_uniform = of_prior / np.log(np.maximum(num_neighbours, 2))

    bins = []
    for power in range(1, int(num_neighbours.max(initial=0)).bit_length()):
        inside = (num_neighbours >= 2**power) & (num_neighbours < 2 ** (power + 1))
        if not inside.any():
            continue
        low, median, high = np.quantile(ratio[inside], [0.1, 0.5, 0.9])
        figures = {"degree": 2**power, "targets": int(inside.sum())}
        uniform = np.median(to_uniform[inside])
        measured = {"low": low, "median": median, "high": high, "uniform": uniform}
        for name, value in measured.items():
            figures[name] = round(float(value), 4)
        bins.append(figures)
    return bins
