"""The approximate index, where search is not exact. Files: index_card.json, and that of the searcher."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered
from recsys.bundle.parts.popularity import Popularity
from recsys.bundle.parts.scoring import Scoring
from recsys.bundle.parts.seen import Seen
from recsys.bundle.parts.user_vectors import UserVectors
from recsys.bundle.storage import load_document, save_document
from recsys.cold_items.new_items import NewItems
from recsys.core.config import IndexConfig
from recsys.search.searcher import Searcher
from recsys.search.searchers import load_searcher
from recsys.search.tuning import tune

_CARD = "index_card.json"
EXACT_CARD: dict[str, Any] = {"kind": "exact", "parameters": {}}


@registered
@dataclass(frozen=True)
class Index:
    """How items are searched.

    card: how the index was chosen; timings under "measured" do not change the name of a bundle.
    plain: over the vectors without the popularity; None for exact search.
    boosted: over those with it, as the card says to search it at a popularity boost other than 0;
        None where only exact search is proven.
    """

    card: dict[str, Any]
    plain: Searcher | None = None
    boosted: Searcher | None = None

    reads: ClassVar[Kinds] = (Popularity, Scoring, Seen, UserVectors)

    @classmethod
    def of(cls, index: Searcher | None, card: dict[str, Any], scoring: Scoring) -> Self:
        """From an index over the vectors with the popularity behind."""
        if index is None:
            return cls(card)
        boosted = None
        parameters = card.get("dial", {}).get("parameters")
        if parameters is not None:
            boosted = index.over(scoring.boosted_vectors).with_parameters(parameters)
        return cls(card, index.over(scoring.search_vectors), boosted)

    def check(self, num_users: int, num_items: int) -> None:
        """Its rows are those of the item vectors."""

    def save(self, folder: Path) -> Facts:
        save_document(folder / _CARD, self.card)
        if self.plain is not None:
            self.plain.save(folder)
        return {}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        card, scoring = load_document(folder / _CARD), parts[Scoring]
        return cls.of(load_searcher(folder, scoring.boosted_vectors, card), card, scoring)

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        """Chosen anew over all items, to the recall that the card promises."""
        if self.plain is None:
            return self
        scoring = parts[Scoring]
        queries, vectors = np.asarray(parts[UserVectors].vectors), scoring.item_vectors
        if scoring.added is not None and scoring.histories is not None:
            queries, vectors = scoring.added.widened(queries, vectors, scoring.histories)
        card = self.card
        tuned = tune(
            vectors,
            queries,
            IndexConfig(kind=card["kind"], target_recall=card["target_recall"], k=card["k"]),
            seed=card["seed"],
            popularity=parts[Popularity].under(parts[Seen].target),
        )
        return self.of(tuned.index, tuned.card, scoring)

    def drop_user(self, user: ForgottenUser) -> Self:
        return self
