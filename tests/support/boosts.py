"""What a popularity boost multiplies ln(1 + users) by, worked out by a plain loop."""

from collections.abc import Collection

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import FloatArray


def naive_factor(bundle: Bundle, scores: FloatArray, known: Collection[int], boost: float) -> float:
    """Of one user with these scores of all items. known: internal ids of items the user has had."""
    new = []
    of_new = []
    for item, score in enumerate(scores.tolist()):
        if item not in known:
            of_new.append(score)
            if bundle.available[item]:
                new.append(score)
    leaders = sorted(new)[-10:]
    popularity = sorted(float(np.log1p(count)) for count in bundle.counts)
    lead = sum(leaders) / len(leaders) - float(np.mean(of_new))
    lead_of_popular = sum(popularity[-10:]) / 10 - float(np.mean(popularity))
    return boost * max(lead, 0.0) / lead_of_popular
