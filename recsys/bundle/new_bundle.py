"""A bundle from what training leaves."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.part import Part, Parts
from recsys.bundle.parts.encoding import Encoding
from recsys.bundle.parts.history_rows import HistoryRows
from recsys.bundle.parts.index import EXACT_CARD, Index
from recsys.bundle.parts.items import Items
from recsys.bundle.parts.labels import Labels
from recsys.bundle.parts.model_card import ModelCard
from recsys.bundle.parts.popularity import Popularity
from recsys.bundle.parts.scoring import Scoring
from recsys.bundle.parts.seen import Seen
from recsys.bundle.parts.user_vectors import UserVectors
from recsys.bundle.parts.users import Users
from recsys.core.arrays import Float32Array
from recsys.core.encoder import Embeddings
from recsys.core.interactions import Interactions
from recsys.core.later_events import Duplicates
from recsys.encode.history_scores import HistoryScores
from recsys.search.tuning import TunedIndex


def new_bundle(
    interactions: Interactions,
    embeddings: Embeddings,
    neighbours: Mapping[str, sparse.csr_matrix],
    target: str,
    *,
    seen_behaviors: tuple[str, ...] = (),
    duplicates: Duplicates = "first",
    item_table: pl.DataFrame | None = None,
    separators: Mapping[str, str] | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
    added: HistoryScores | None = None,
    histories: sparse.csr_matrix | None = None,
    recent: Float32Array | None = None,
    tuned: TunedIndex | None = None,
    model_card: Mapping[str, Any] | None = None,
    more: Sequence[Part | None] = (),
) -> Bundle:
    """A bundle that is not written yet.

    Args:
        interactions: what the model was trained on.
        embeddings: what training gave.
        neighbours: by relation into users, (users, sources) edge weights (`neighbours_into_users`).
        target: the behaviour that is predicted.
        seen_behaviors: behaviours that hide an item from its user; the target where none is named.
        duplicates: what the log makes of a repeated pair: `clean.duplicates`.
        item_table: one row per internal id, with any of title, `available` and attributes.
        separators: of its columns whose text holds several values.
        labels: by attribute node type, what each node stands for.
        added: what histories of users add to scores; None for vectors alone.
        histories: (users, items) histories of the users, as `added` reads them.
        recent: (items,) share of users by which visitors of whom nothing is known are answered;
            None for that of all.
        tuned: an index over the vectors with low-pass, trend and popularity beside them, and its
            card; None for exact search.
        model_card: how the model was made. Timings belong under "measured": that key does not
            change the address of the bundle.
        more: other parts; None for what there is not.

    Raises:
        UsageError: when the parts do not belong together.
    """
    popularity = Popularity.of(interactions, recent)
    scoring = Scoring.of(embeddings.items, popularity.under(target), added, histories)
    index = Index(EXACT_CARD) if tuned is None else Index.of(tuned.index, tuned.card, scoring)
    parts: list[Part] = [
        Users(interactions.users),
        Items.of(interactions.items, item_table, separators or {}),
        Labels(labels or {}),
        UserVectors(embeddings.users),
        Encoding(embeddings.encoder, neighbours, embeddings.user_self),
        Seen.of(interactions, target, seen_behaviors),
        HistoryRows.of(interactions, duplicates),
        popularity,
        scoring,
        index,
        ModelCard(dict(model_card or {})),
    ]
    parts += [bundle_part for bundle_part in more if bundle_part is not None]
    bundle = Bundle(Parts(parts))
    bundle.check()
    return bundle
