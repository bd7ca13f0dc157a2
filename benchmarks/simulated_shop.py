"""A shop whose visitors click with known probabilities: what an experiment there must find is known.

Visitors are of some kinds; one of kind t looks at place k of a list with probability e_k, and clicks an
item i that they look at with probability a · r(t, i), a being their own. So the expected rates of every
policy, that is of lists by kind, are sums of known numbers.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.core.arrays import Float64Array, Int64Array
from recsys.core.tables import (
    ANSWER,
    ARM,
    BEHAVIOR,
    BUNDLE,
    DRAWN,
    FALLBACK,
    ITEM_ID,
    ITEMS,
    OPTIONS,
    PLACES,
    POOL,
    TIME,
    USER_ID,
)
from recsys.experiments.assignment import arm_of
from recsys.experiments.definition import Experiment
from recsys.experiments.exploration import drawn_order, is_drawn
from recsys.experiments.records import Records

KINDS, ITEMS_OF_SHOP, PLACES_OF_LIST = 6, 60, 10
_ACTIVITY = (2.0, 6.0)  # Beta of the probability that somebody clicks what they like
_VISITS_A_DAY = 0.35
_BUYS = 0.3  # of clicks
_SECONDS_A_DAY = 86_400
_SECONDS_UNTIL_A_CLICK = 60
_NAMES = np.arange(ITEMS_OF_SHOP).astype(str).astype(object)
_CASES = 64  # steps of the distribution of activity, for expected rates


@dataclass(frozen=True)
class Shop:
    """relevance: (kinds, items). examined: (places,)."""

    relevance: Float64Array
    examined: Float64Array

    @staticmethod
    def made(seed: int) -> "Shop":
        generator = np.random.default_rng(seed)
        relevance = generator.beta(1.0, 6.0, (KINDS, ITEMS_OF_SHOP))
        return Shop(relevance, 1.0 / np.arange(1, PLACES_OF_LIST + 1) ** 0.5)

    def policy(self, seed: int, noise: float) -> Int64Array:
        """(kinds, items) all items, the best first, by a model that errs by so much."""
        generator = np.random.default_rng(seed)
        scores = self.relevance + noise * generator.standard_normal(self.relevance.shape)
        return np.argsort(-scores, axis=1)

    def clicks_per_list(self, policy: Int64Array, covered: Int64Array | None = None) -> float:
        """Expected number of clicked items. covered: (kinds, pool) items; others count as never clicked."""
        probabilities = self._probabilities(policy)
        if covered is not None:
            for kind in range(KINDS):
                in_pool = np.isin(policy[kind, :PLACES_OF_LIST], covered[kind])
                probabilities[:, kind] *= in_pool
        return float(probabilities.sum(axis=2).mean())

    def click_through(self, policy: Int64Array) -> float:
        """Expected share of lists with a click."""
        return float((1 - np.prod(1 - self._probabilities(policy), axis=2)).mean())

    def _probabilities(self, policy: Int64Array) -> Float64Array:
        """(cases, kinds, places) of a click, over the distribution of activity."""
        generator = np.random.default_rng(0)
        activity = np.quantile(
            generator.beta(*_ACTIVITY, 1_000_000), (np.arange(_CASES) + 0.5) / _CASES
        )
        shown = np.take_along_axis(self.relevance, policy[:, :PLACES_OF_LIST], axis=1)
        return activity[:, None, None] * shown * self.examined


def simulate(
    shop: Shop, experiment: Experiment, policies: list[Int64Array], users: int, days: int, seed: int
) -> Records:
    """What services would write down of an experiment.

    Args:
        shop: Who visits, and what they click.
        experiment: Who gets what.
        policies: Of each arm, (kinds, items) items by kind, the best first.
        users: How many there are.
        days: How long it goes on.
        seed: Of the visits and clicks; who gets which arm follows from the experiment's id.

    Returns:
        The records.
    """
    generator = np.random.default_rng(seed)
    kinds = generator.integers(0, KINDS, users)
    activity = generator.beta(*_ACTIVITY, users)
    visits = generator.poisson(_VISITS_A_DAY * days * generator.gamma(2.0, 0.5, users))
    numbers = [arm_of(f"user {user}", experiment.id, experiment.shares) for user in range(users)]
    is_in = np.array([number is not None for number in numbers])
    arms = np.array([number or 0 for number in numbers])
    user = np.repeat(np.flatnonzero(is_in), visits[is_in])
    moment = experiment.began + generator.uniform(0, days * _SECONDS_A_DAY, len(user))
    names = [f"{seed} {visit}" for visit in range(len(user))]
    best = np.stack(policies)[arms[user], kinds[user]]
    shown = best[:, :PLACES_OF_LIST].copy()
    drawn = np.array([is_drawn(name, experiment.id, experiment.explore) for name in names])
    for visit in np.flatnonzero(drawn):
        order = drawn_order(names[visit], experiment.id, experiment.pool)
        shown[visit] = best[visit][order][:PLACES_OF_LIST]
    relevance = shop.relevance[kinds[user][:, None], shown]
    probabilities = activity[user][:, None] * relevance * shop.examined
    visit, place = np.nonzero(generator.random(shown.shape) < probabilities)
    pools = pl.Series(_NAMES[best[:, : experiment.pool]], dtype=pl.List(pl.String))
    arm_names = np.array([arm.name for arm in experiment.arms])
    answers = pl.DataFrame(
        {
            ANSWER: names,
            USER_ID: [f"user {number}" for number in user],
            TIME: moment.astype(np.int64),
            ARM: arm_names[arms[user]],
            DRAWN: drawn,
            ITEMS: pl.Series(_NAMES[shown], dtype=pl.List(pl.String)),
            POOL: pools,
        }
    ).with_columns(
        pl.lit(None, pl.String).alias(BUNDLE),
        pl.lit(False).alias(FALLBACK),
        pl.when(DRAWN).then(POOL).alias(POOL),
        pl.lit(None, pl.String).alias(OPTIONS),
    )
    places = pl.int_ranges(1, pl.col(ITEMS).list.len() + 1).alias(PLACES)
    events = answers[visit].select(
        ANSWER,
        USER_ID,
        pl.Series(ITEM_ID, _NAMES[shown[visit, place]]),
        pl.col(TIME) + _SECONDS_UNTIL_A_CLICK,
        pl.Series(BEHAVIOR, np.where(generator.random(len(visit)) < _BUYS, "buy", "view")),
    )
    return Records(answers, answers.select(ANSWER, USER_ID, TIME, ITEMS, places), events)


def kinds_of(users: int, seed: int) -> Int64Array:
    """(users,) the kind of each, as `simulate` draws them."""
    return np.random.default_rng(seed).integers(0, KINDS, users)
