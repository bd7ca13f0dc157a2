"""Made-up bundles of a size that is asked for: random pairs and vectors, attention on; and what
histories add.
"""

import argparse

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.new_bundle import new_bundle
from recsys.bundle.parts.scoring import Scoring
from recsys.core.config import BlendConfig
from recsys.core.distinct import distinct
from recsys.core.encoder import Embeddings, EncoderState, RelationState
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions
from recsys.core.tables import TITLE
from recsys.encode.history_scores import HistoryScores


def made_up(given: argparse.Namespace) -> Bundle:
    """Random pairs and vectors; one relation, two layers, attention on."""
    rng = np.random.default_rng(given.seed)
    keys = distinct(rng.integers(0, given.users * given.items, given.pairs))
    user, item = np.divmod(keys, given.items)
    log = Interactions(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        weight=np.ones(len(user), np.float32),
        time=None,
        behavior=np.zeros(len(user), np.int16),
        behaviors=("visit",),
        users=IdMap(pl.Series([f"user-{one:06}" for one in range(given.users)]), "user"),
        items=IdMap(pl.Series([f"item-{one:06}" for one in range(given.items)]), "item"),
        user_codes=np.arange(given.users, dtype=np.int32),
        item_codes=np.arange(given.items, dtype=np.int32),
    )
    edges = log.matrix()
    titles = pl.DataFrame({TITLE: [f"Item number {one}" for one in range(given.items)]})
    own, items = (_unit(rng, count, given.width) for count in (given.users, given.items))
    encoder = _encoder(edges, items, given.width)
    found = Embeddings(_unit(rng, given.users, given.width), items, own, encoder)
    return new_bundle(log, found, {"rev_visit": edges}, "visit", item_table=titles)


def with_histories(bundle: Bundle, seed: int) -> Bundle:
    """The same with an item–item table and a low-pass of the default configuration's size."""
    blend = BlendConfig()
    neighbours, rank = blend.neighbours, blend.low_pass_rank
    rng, items = np.random.default_rng(seed), len(bundle.items)
    others = np.sort(rng.integers(0, items, (items, neighbours), np.int32), axis=1).ravel()
    lent = rng.random(len(others), np.float32) / neighbours
    table = sparse.csr_matrix(
        (lent, others, np.arange(items + 1) * neighbours), shape=(items, items)
    )
    table.sum_duplicates()
    added = HistoryScores(table, *(_unit(rng, items, rank) / rank for _ in range(2)))
    histories = bundle.seen[bundle.target].astype(np.float32)
    return bundle.with_parts(Scoring.of(bundle.item_vectors, bundle.counts, added, histories))


def _encoder(edges: sparse.csr_matrix, items: np.ndarray, width: int) -> EncoderState:
    half, heads = np.full(2, 0.5, np.float32), 4
    degrees = np.asarray(edges.sum(axis=0), np.float32).ravel()
    nothing = np.zeros(2, np.float32)
    gamma = np.ones((2, heads), np.float32)
    relation = RelationState(
        "rev_visit", "item", "visit", 1.0, True, degrees, half, half, gamma, nothing, nothing
    )
    third = np.full(3, 1 / 3, np.float32)
    states = {"item": np.stack([items, items])}
    return EncoderState(
        "degree_prior", heads, "cosine", third, items.mean(axis=0), states, (relation,)
    )


def _unit(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    vectors = rng.standard_normal((count, width), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
