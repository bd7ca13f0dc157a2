"""What a bundle is written from, and how its files come out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.attributes import read_attributes_of
from recsys.bundle.item_map import ItemMap
from recsys.bundle.segments import Segments
from recsys.bundle.storage import save_array, save_document, save_matrix
from recsys.core.arrays import Float32Array
from recsys.core.encoder import Embeddings
from recsys.core.errors import UsageError
from recsys.core.interactions import Interactions
from recsys.core.tables import AVAILABLE, ITEM_ID, LABEL, NODE_TYPE, USER_ID
from recsys.encode.history_scores import HistoryScores
from recsys.search.popularity_boost import with_popularity
from recsys.search.searcher import Searcher

FORMAT = 1
ALL = "all"
"""Popularity segment that counts a user once, whatever the behaviour."""


@dataclass(frozen=True)
class Contents:
    """What a bundle is written from.

    neighbours: by relation into users, (users, sources) edge weights (`neighbours_into_users`).
    seen_behaviors: behaviours that hide an item from its user. item_table: one row per dense item
    id, with any of title, `available` and attributes; separators: of its columns whose text holds
    several values. labels: by attribute node type, what each node stands for. added, histories:
    what the past of users adds, and their (users, items) histories; None for vectors alone. index:
    None for exact search, else over the vectors with the low-pass and the popularity beside them,
    with its card. item_map: gives vectors to items from what they are; None where nothing says it.
    cold_items: how many of the last items got theirs from it. user_segments: what users of each
    value of a column took. popular: (items,) the share of users by which visitors of whom nothing
    is known are answered; None for that of all. test_values: USER_ID and a column for each metric,
    what the tested model reached for each test user: bundles are compared user by user. Timings in
    a card belong under "measured": that key does not change the address of the bundle.
    """

    embeddings: Embeddings
    interactions: Interactions
    target: str
    neighbours: Mapping[str, sparse.csr_matrix]
    seen_behaviors: tuple[str, ...] = ()
    item_table: pl.DataFrame | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    index: Searcher | None = None
    index_card: Mapping[str, Any] = field(
        default_factory=lambda: {"kind": "exact", "parameters": {}}
    )
    model_card: Mapping[str, Any] = field(default_factory=dict)
    added: HistoryScores | None = None
    histories: sparse.csr_matrix | None = None
    separators: Mapping[str, str] = field(default_factory=dict)
    item_map: ItemMap | None = None
    cold_items: int = 0
    user_segments: Segments | None = None
    popular: Float32Array | None = None
    test_values: pl.DataFrame | None = None


class Edges(Protocol):
    """A CSR of tensors by destination, as in `recsys.graph.schema.Adjacency`."""

    @property
    def indptr(self) -> Any: ...
    @property
    def indices(self) -> Any: ...
    @property
    def weight(self) -> Any: ...
    @property
    def num_src(self) -> int: ...


def neighbours_into_users(
    relations: Mapping[tuple[str, str, str], Edges],
) -> dict[str, sparse.csr_matrix]:
    """(users, sources) edge weights of every relation of a graph that ends in users, by relation
    name.
    """
    return {
        relation: sparse.csr_matrix(
            (edges.weight.numpy(), edges.indices.numpy(), edges.indptr.numpy()),
            shape=(len(edges.indptr) - 1, edges.num_src),
        )
        for (_, relation, destination), edges in relations.items()
        if destination == "user"
    }


def check_contents(contents: Contents) -> None:
    """Raises UsageError when the parts do not belong together."""
    found, log = contents.embeddings, contents.interactions
    sizes = {
        "user vectors": (len(found.users), log.num_users),
        "own states of users": (len(found.user_self), log.num_users),
        "item vectors": (len(found.items), log.num_items),
    }
    sizes |= {
        f"neighbours {name}": (matrix.shape[0], log.num_users)
        for name, matrix in contents.neighbours.items()
    }
    if contents.histories is not None:
        sizes["histories"] = (contents.histories.shape[0], log.num_users)
    if contents.item_table is not None:
        sizes["rows of the item table"] = (len(contents.item_table), log.num_items)
    for name, (has, wanted) in sizes.items():
        if has != wanted:
            raise UsageError(
                f"{has} {name} for {wanted} dense ids", "Take all parts from the same phase"
            )
    missing = {relation.name for relation in found.encoder.relations} - set(contents.neighbours)
    if missing:
        raise UsageError(
            f"no neighbours for the relations {sorted(missing)}",
            "Use neighbours_into_users(graph.relations)",
        )


def write_files(folder: Path, contents: Contents) -> None:
    """Every file but golden.json and manifest.json."""
    found, log = contents.embeddings, contents.interactions
    for name, values in {"user_vectors": found.users, "user_self": found.user_self}.items():
        save_array(folder / f"{name}.npy", values.astype(np.float32, copy=False))
    found.encoder.save(folder)
    relations = sorted(contents.neighbours)
    for place, name in enumerate(relations):
        save_matrix(folder, f"neighbours_{place}", contents.neighbours[name], weighted=True)
    for place, name in enumerate(log.behaviors):
        save_matrix(folder, f"seen_{place}", log.matrix((name,)), weighted=False)
    _write_history(folder, contents)
    _write_tables(folder, contents)
    segments = (ALL, *log.behaviors)
    popularity = np.stack([log.popularity(None if name == ALL else name) for name in segments])
    save_array(folder / "popularity.npy", popularity)
    if contents.popular is not None:
        save_array(folder / "popular.npy", contents.popular)
    vectors = (
        found.items if contents.added is None else np.hstack([found.items, contents.added.back])
    )
    searched, unit = with_popularity(vectors, log.popularity(contents.target))
    save_array(folder / "search_vectors.npy", searched)
    facts = {
        "format": FORMAT,
        "target": contents.target,
        "behaviors": list(log.behaviors),
        "seen_behaviors": list(contents.seen_behaviors or (contents.target,)),
        "relations": {name: int(contents.neighbours[name].shape[1]) for name in relations},
        "history": contents.added and _facts(contents.added),
        "width": int(found.items.shape[1]),
        "dial_unit": unit,
        "num_users": log.num_users,
        "num_items": log.num_items,
    }
    facts |= {"separators": dict(contents.separators)} if contents.separators else {}
    if contents.item_map is not None:
        facts |= {"item_map": contents.item_map.facts(), "cold_items": contents.cold_items}
        contents.item_map.save(folder)
    if contents.user_segments is not None:
        facts |= {"user_segments": contents.user_segments.facts()}
        contents.user_segments.save(folder)
    save_document(folder / "bundle.json", facts)
    save_document(folder / "index_card.json", dict(contents.index_card))
    save_document(folder / "model_card.json", dict(contents.model_card))
    if contents.index is not None:
        contents.index.save(folder)


def _facts(added: HistoryScores) -> dict[str, Any]:
    """half_life; where there are any, the behaviours of the rows of met_gain.npy, and what counts
    in a history beside.
    """
    more = {"met": list(added.auxiliary_gains), "heard": dict(added.auxiliary_weights)}
    return {"half_life": added.half_life_events} | {
        name: value for name, value in more.items() if value
    }


def _write_history(folder: Path, contents: Contents) -> None:
    added = contents.added
    if added is None or contents.histories is None:
        return
    save_matrix(folder, "item_item", added.table, weighted=True)
    save_matrix(folder, "histories", contents.histories, weighted=True)
    save_array(folder / "low_pass_into.npy", added.into)
    if added.auxiliary_gains:
        save_array(folder / "met_gain.npy", np.stack(list(added.auxiliary_gains.values())))


def _write_tables(folder: Path, contents: Contents) -> None:
    log, table = contents.interactions, contents.item_table
    pl.DataFrame({USER_ID: log.users.ids}).write_parquet(folder / "users.parquet")
    items = pl.DataFrame({ITEM_ID: log.items.ids})
    if table is not None:
        items = items.hstack(table.drop([ITEM_ID], strict=False).get_columns())
    available = (
        items[AVAILABLE].fill_null(True).to_numpy()
        if AVAILABLE in items.columns
        else np.ones(len(items), bool)
    )
    items.drop(AVAILABLE, strict=False).write_parquet(folder / "items.parquet")
    read_attributes_of(items, contents.separators).save(folder)
    save_array(folder / "available.npy", np.packbits(available))
    if contents.test_values is not None:
        contents.test_values.write_parquet(folder / "test_values.parquet")
    rows = [
        (node_type, label)
        for node_type in sorted(contents.labels)
        for label in contents.labels[node_type]
    ]
    schema = {NODE_TYPE: pl.String, LABEL: pl.String}
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(folder / "labels.parquet")
