"""A small world with an encoder made by hand: numpy only, so that lookup is tested as it is served."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.new_bundle import new_bundle
from recsys.bundle.parts.cold_items import ColdItems
from recsys.bundle.parts.segments import Segments
from recsys.bundle.parts.user_metrics import UserMetrics
from recsys.cold_items.item_map import ItemFeature, ItemMap
from recsys.core.encoder import Embeddings, EncoderState, RelationState
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions
from recsys.core.tables import AVAILABLE, TITLE
from recsys.encode.fold_in import UserEncoder
from recsys.encode.history_scores import HistoryScores
from recsys.releases.publish import write_bundle
from recsys.search.searcher import Searcher
from recsys.search.tuning import TunedIndex

USERS, ITEMS, WIDTH, HEADS, LAYERS = 30, 40, 8, 2, 2
COUNTRIES = ("de", "fr", "it")


@dataclass(frozen=True)
class World:
    """What a bundle is made of, so that a test changes one thing of it by `replace`."""

    embeddings: Embeddings
    interactions: Interactions
    target: str
    neighbours: Mapping[str, sparse.csr_matrix]
    seen_behaviors: tuple[str, ...] = ()
    item_table: pl.DataFrame | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    index: Searcher | None = None
    index_card: Mapping[str, Any] | None = None
    model_card: Mapping[str, Any] = field(default_factory=dict)
    added: HistoryScores | None = None
    histories: sparse.csr_matrix | None = None
    separators: Mapping[str, str] = field(default_factory=dict)
    item_map: ItemMap | None = None
    user_segments: Segments | None = None
    popular: np.ndarray | None = None
    test_values: pl.DataFrame | None = None

    def bundle(self) -> Bundle:
        """Not written yet."""
        tested = self.test_values
        return new_bundle(
            self.interactions,
            self.embeddings,
            self.neighbours,
            self.target,
            seen_behaviors=self.seen_behaviors,
            item_table=self.item_table,
            separators=self.separators,
            labels=self.labels,
            added=self.added,
            histories=self.histories,
            recent=self.popular,
            tuned=None
            if self.index_card is None
            else TunedIndex(self.index, dict(self.index_card)),
            model_card=self.model_card,
            more=[
                self.item_map and ColdItems(self.item_map),
                self.user_segments,
                None if tested is None else UserMetrics(tested.lazy()),
            ],
        )


def write_world(bundles: Path, world: World) -> Path:
    """Write the bundle of a world; returns its folder."""
    return write_bundle(bundles, world.bundle())


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def make_interactions(seed: int = 0) -> Interactions:
    """Views and buys of 30 users u00.. and 40 items i00..; every item has an event."""
    rng = np.random.default_rng(seed)
    pairs = {(int(rng.integers(USERS)), item) for item in range(ITEMS)}
    pairs |= {(user, int(item)) for user in range(USERS) for item in rng.integers(0, ITEMS, 5)}
    user, item = np.array(sorted(pairs), np.int32).T
    behavior = (rng.random(len(user)) < 0.6).astype(np.int16)
    return Interactions(
        user=user,
        item=item,
        weight=np.ones(len(user), np.float32),
        time=rng.integers(1_600_000_000, 1_700_000_000, len(user)),
        behavior=behavior,
        behaviors=("view", "buy"),
        users=IdMap(pl.Series([f"u{one:02}" for one in range(USERS)]), "user"),
        items=IdMap(pl.Series([f"i{one:02}" for one in range(ITEMS)]), "item"),
        user_codes=np.arange(USERS, dtype=np.int32),
        item_codes=np.arange(ITEMS, dtype=np.int32),
    )


def make_relation(name: str, edges: sparse.csr_matrix, base: bool, seed: int) -> RelationState:
    rng = np.random.default_rng(seed)
    return RelationState(
        name=name,
        source="user:country" if name == "rev_country" else "item",
        behavior=None if name == "rev_country" else name.removeprefix("rev_"),
        weight=1.0,
        base=base,
        source_degree=np.asarray(edges.sum(axis=0), np.float32).ravel(),
        source_exponent=rng.uniform(0.3, 0.7, LAYERS).astype(np.float32),
        target_exponent=rng.uniform(0.3, 0.7, LAYERS).astype(np.float32),
        gamma=rng.normal(size=(LAYERS, HEADS)).astype(np.float32),
        gate=rng.normal(size=LAYERS).astype(np.float32),
        kappa=rng.normal(size=LAYERS).astype(np.float32),
    )


def make_neighbours(log: Interactions) -> dict[str, sparse.csr_matrix]:
    country = sparse.csr_matrix(
        np.eye(len(COUNTRIES), dtype=np.float32)[np.arange(USERS) % 4 % len(COUNTRIES)]
    )
    rows = np.ones(USERS, np.float32)
    rows[3] = 0  # a user without a country
    country = sparse.csr_matrix(country.multiply(rows[:, None]))
    country.eliminate_zeros()
    return {
        "rev_buy": log.matrix(("buy",)),
        "rev_view": log.matrix(("view",)),
        "rev_country": country,
    }


def make_encoder(
    neighbours: dict[str, sparse.csr_matrix], seed: int = 1, similarity: str = "cosine"
) -> EncoderState:
    rng = np.random.default_rng(seed)
    relations = [
        make_relation(n, edges, n == "rev_buy", seed + k)
        for k, (n, edges) in enumerate(neighbours.items())
    ]
    counts = {"item": ITEMS, "user:country": len(COUNTRIES)}
    return EncoderState(
        family="degree_prior",
        heads=HEADS,
        similarity=similarity,
        layer_weights=np.array([0.4, 0.3, 0.3], np.float32),
        visitor=rng.normal(size=WIDTH).astype(np.float32),
        states={
            kind: rng.normal(size=(LAYERS, count, WIDTH)).astype(np.float32)
            for kind, count in counts.items()
        },
        relations=tuple(relations),
    )


def make_contents(seed: int = 0, similarity: str = "cosine") -> World:
    rng = np.random.default_rng(seed)
    log = make_interactions(seed)
    neighbours = make_neighbours(log)
    encoder = make_encoder(neighbours, similarity=similarity)
    own = rng.normal(size=(USERS, WIDTH)).astype(np.float32)
    items = unit(rng.normal(size=(ITEMS, WIDTH)))
    table = pl.DataFrame(
        {
            TITLE: [f"Film {one}" for one in range(ITEMS)],
            AVAILABLE: [one != 7 for one in range(ITEMS)],
        }
    )
    return World(
        embeddings=Embeddings(UserEncoder(encoder).encode(neighbours, own), items, own, encoder),
        interactions=log,
        target="buy",
        neighbours=neighbours,
        item_table=table,
        labels={"user:country": COUNTRIES},
        model_card={"family": "degree_prior"},
    )


GENRES = ("comedy", "drama", "sci-fi")


def make_item_map(contents: World, seed: int = 5) -> ItemMap:
    """Weights drawn at random for three genres."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(len(GENRES), WIDTH)).astype(np.float32)
    return ItemMap(
        features=(ItemFeature("genres", "item:genres", "|"),),
        mean=contents.embeddings.items.mean(axis=0),
        weights={"genres": weights},
        length=0.7,
        states=rng.normal(size=(LAYERS, WIDTH, WIDTH)).astype(np.float32),
        ridge=10.0,
        likeness=0.5,
    )


def make_contents_with_genres() -> World:
    """The same world, whose items have genres that new ones can be placed by."""
    contents = make_contents()
    table = contents.item_table.with_columns(
        genres=pl.Series([GENRES[one % 3] for one in range(ITEMS)])
    )
    labels = {**contents.labels, "item:genres": GENRES}
    return replace(
        contents,
        item_table=table,
        labels=labels,
        item_map=make_item_map(contents),
        separators={"genres": "|"},
    )
