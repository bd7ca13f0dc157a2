"""Whether users were shared out as defined."""

from collections.abc import Mapping

from scipy.special import chdtrc

from recsys.experiments.documents import Split

ALARM = 0.001
"""p below which the report is not to be trusted (Fabijan et al. 2019, "Diagnosing sample ratio mismatch
in online controlled experiments"): far below the usual, as it is looked at daily.
"""


def split_check(observed: Mapping[str, int], shares: Mapping[str, float]) -> Split:
    """Pearson's chi-square of users by arm against the shares."""
    total = sum(observed.values())
    whole = sum(shares.values())
    expected = {arm: total * share / whole for arm, share in shares.items()}
    p = 1.0
    if total and len(shares) > 1:
        statistic = sum((observed[arm] - expected[arm]) ** 2 / expected[arm] for arm in shares)
        p = float(chdtrc(len(shares) - 1, statistic))
    return {"observed": dict(observed), "expected": expected, "p": p, "alarm": p < ALARM}
