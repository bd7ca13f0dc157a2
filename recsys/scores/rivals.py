"""Tuned baselines that a blend is compared with, and the terms by which they can be served themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from recsys.core.arrays import Int32Array
from recsys.core.ladder import Ladder
from recsys.core.noise import CHOICE_ERRORS, difference
from recsys.evaluate.metrics import PerUser
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.search import Search
from recsys.scores.term import Stage, WeightedSettings, grid
from recsys.scores.terms.ease import EaseSettings
from recsys.scores.terms.gf_cf import GfCfSettings
from recsys.scores.terms.item_item import ItemItemSettings
from recsys.scores.terms.item_knn import ItemKnnSettings
from recsys.scores.terms.most_popular import MostPopularSettings
from recsys.scores.terms.trained_vectors import TrainedVectorsSettings

WEIGHTS = Ladder((0.25, 0.5, 1.0, 2.0, 4.0), lowest=0.05, highest=50.0)
"""Of a baseline beside the model."""


@dataclass(frozen=True)
class Rival:
    """A baseline as it was tuned.

    name: in `evaluate.baselines`.
    title: in reports.
    params: as validation chose them.
    lists: (held-out users of the phase, k) internal item ids; None where only its term is at hand.
    """

    name: str
    title: str
    params: Mapping[str, Any]
    lists: Int32Array | None = None


POPULARITY = Rival("popularity", "Popularity, all time", {})


class Comparison(NamedTuple):
    """What is served beside one baseline, on the judging users of validation.

    name: of the baseline.
    title: of the baseline.
    value: mean of the deciding metric, of the baseline as it was tuned.
    as_term: the same of the blend that stands for it, without the vectors; None where none was tried.
    difference: of what is served over the baseline, the mean by user.
    error: standard error of the difference; None where too few users differ to tell.
    """

    name: str
    title: str
    value: float
    as_term: float | None
    difference: float
    error: float | None


def settings_of(rival: Rival) -> WeightedSettings | None:
    """The term that ranks as the baseline does, at weight 1; None where there is none."""
    params = rival.params
    if rival.name == "popularity":
        return MostPopularSettings(weight=1.0)
    if rival.name == "popularity_recent":
        return MostPopularSettings(weight=1.0, share=params["share"])
    if rival.name == "itemknn":
        return ItemKnnSettings(weight=1.0, **params)
    if rival.name == "slim":
        return ItemItemSettings(weight=1.0, **params)
    if rival.name == "ease":
        return EaseSettings(weight=1.0, regularisation=params["regularisation"])
    if rival.name == "gfcf":
        return GfCfSettings(weight=1.0, rank=params["rank"], low_pass_weight=params["weight"])
    return None


def alone(settings: WeightedSettings) -> Blend:
    """One term, and no part for the vectors."""
    return NO_BLEND.with_settings(TrainedVectorsSettings(weight=0)).with_settings(settings)


def try_rivals(
    search: Search, best: Blend, rivals: Sequence[Rival], values: Mapping[str, PerUser]
) -> Blend:
    """The best blend so far, after every baseline that comes near it was tried alone and beside it.

    One that the best blend so far beats beyond noise is not tried: its term would be worth as much.

    Args:
        search: tries blends.
        best: the best so far.
        rivals: the baselines.
        values: by name, what those are worth by user whose lists are known.
    """
    for rival in rivals:
        settings = settings_of(rival)
        if settings is None:
            continue
        by_itself = alone(settings)
        of_rival = values[rival.name] if rival.name in values else search.values(by_itself)
        if difference(search.values(best), of_rival).beyond(CHOICE_ERRORS):
            continue
        weights = grid(Stage.EVERYBODY, type(settings), forced=True, weight=WEIGHTS)
        candidates = [best, by_itself]
        for blend in (NO_BLEND, best):
            candidates.append(search.moved(blend.with_settings(settings), weights))
        best = search.largest(candidates)
    return best


def comparisons(
    search: Search, chosen: Blend, rivals: Sequence[Rival], values: Mapping[str, PerUser]
) -> list[Comparison]:
    """The chosen blend beside every baseline; arguments as of `try_rivals`."""
    tried = search.values.results
    rows = []
    for rival in rivals:
        settings = settings_of(rival)
        of_term = None if settings is None else tried.get(alone(settings))
        of_rival = values.get(rival.name, of_term)
        if of_rival is None:
            continue
        gap = difference(search.values(chosen), of_rival)
        rows.append(
            Comparison(
                rival.name,
                rival.title,
                float(of_rival.mean()),
                None if of_term is None else float(of_term.mean()),
                gap.mean,
                gap.error if gap.error < float("inf") else None,
            )
        )
    return rows
