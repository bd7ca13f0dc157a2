"""What lists that nobody was shown would have got, from lists that were drawn at random.

Under the item–position model (a click depends on user, item and place, not on the items beside; Li,
Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay & Wen 2018, "Offline evaluation of ranking policies with click
models") the clicks c of a drawn list count where its item a stands as the other bundle would have it:

    IPS   = 1/N Σ_lists Σ_places  1[a = b] / p · c
    SNIPS = places · Σ 1[a = b] / p · c  /  Σ 1[a = b] / p

with p the propensity of an item at a place (Horvitz & Thompson 1952; Swaminathan & Joachims 2015 for the
self-normalised one), and the user as the unit of the variance.
"""

from typing import NamedTuple

import numpy as np

from recsys.core.arrays import BoolArray, Float64Array, IntArray
from recsys.experiments.intervals import Ratio, ratio


class Drawn(NamedTuple):
    """Places of drawn lists that were shown, one row each.

    list, user: numbers from 0 of the list and of its user. matches: whether the other bundle has the
    same item there. propensity: of the item at the place. clicked: whether it was.
    covered: whether the other bundle's item there could have been drawn.
    """

    list: IntArray
    user: IntArray
    matches: BoolArray
    propensity: Float64Array
    clicked: BoolArray
    covered: BoolArray


class Estimates(NamedTuple):
    """Clicked items per list. coverage: share of places whose item could have been drawn."""

    ips: Ratio | None
    snips: Ratio | None
    coverage: float
    matches: int


def estimate_clicks(drawn: Drawn) -> Estimates:
    """IPS and SNIPS; None where no place matches, or there are fewer than two users."""
    if not len(drawn.list):
        return Estimates(None, None, 0.0, 0)
    weights = np.where(drawn.matches, 1 / drawn.propensity, 0.0)
    num_users = int(drawn.user.max()) + 1
    clicks = _sums(drawn.user, weights * drawn.clicked, num_users)
    weight = _sums(drawn.user, weights, num_users)
    # Each list counts once for its user.
    first_places = np.unique(drawn.list, return_index=True)[1]
    lists = _sums(drawn.user[first_places], np.ones(len(first_places)), num_users)
    places = len(drawn.list) / len(first_places)
    per_place = ratio(clicks, weight) if drawn.matches.any() else None
    snips = None
    if per_place is not None:
        snips = Ratio(places * per_place.value, places**2 * per_place.variance)
    coverage = float(drawn.covered.mean())
    return Estimates(ratio(clicks, lists), snips, coverage, int(drawn.matches.sum()))


def _sums(users: IntArray, values: Float64Array, num_users: int) -> Float64Array:
    """(num_users,)"""
    return np.asarray(np.bincount(users, values, num_users), np.float64)
