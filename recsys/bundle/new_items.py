"""Items that nobody took yet, beside those of a bundle: read from a table, given vectors, and put
behind the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.contents import Contents
from recsys.bundle.item_map import ItemMap, features_of
from recsys.bundle.segments import Segments
from recsys.core.arrays import BoolArray, Float32Array
from recsys.core.config import IndexConfig
from recsys.core.encoder import Embeddings, EncoderState
from recsys.core.errors import DataError, UsageError, nearest
from recsys.core.features import FeatureColumn
from recsys.core.ids import UNKNOWN, IdMap
from recsys.core.interactions import Interactions
from recsys.core.tables import AVAILABLE, ITEM, ITEM_ID, Drops
from recsys.encode.history_scores import HistoryScores
from recsys.search.exact import VectorScorer
from recsys.search.tuning import tune

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle

NO_VALUE = "item without a known value"
PRESENT = "item already there"


@dataclass(frozen=True)
class NewItems:
    """table: ITEM_ID, AVAILABLE and the columns of the bundle's item table. vectors: (n, d).
    features: by trait, (n, values) 0/1.

    drops: items left out, by reason. unknown: values of each trait that no item had in training.
    """

    table: pl.DataFrame
    vectors: Float32Array
    features: Mapping[str, sparse.csr_matrix]
    drops: Drops
    unknown: dict[str, int]


def contents_of(bundle: "Bundle") -> Contents:
    """What a bundle was written from; writing that again gives the same bundle."""
    return Contents(
        embeddings=Embeddings(
            bundle.user_vectors, bundle.item_vectors, bundle.user_self, bundle.encoder
        ),
        interactions=_interactions_of(bundle),
        target=bundle.target,
        neighbours=bundle.neighbours,
        seen_behaviors=bundle.seen_behaviors,
        item_table=bundle.item_table.with_columns(pl.Series(AVAILABLE, bundle.available)),
        labels={kind: tuple(values) for kind, values in bundle.labels.items()},
        index=bundle.index,
        index_card=bundle.index_card,
        model_card=bundle.model_card,
        added=bundle.added,
        histories=bundle.histories,
        separators=bundle.separators,
        item_map=bundle.item_map,
        cold_items=bundle.cold_items,
        user_segments=bundle.user_segments,
        popular=bundle.popular,
        test_values=bundle.test_values,
    )


def read_new_items(contents: Contents, table: pl.DataFrame) -> NewItems:
    """What a table says of new items. table: ITEM_ID, and any column of the item table, of the item
    map's traits, and AVAILABLE.

    An item without any value that was known in training has nothing to be placed by and is left
    out; so is one that is there already with the same vector. Raises DataError for another column,
    an id given twice or an id that is taken, UsageError for contents without an item map.
    """
    item_map = _required_map(contents)
    known = _columns(contents)
    _check_columns(table, [ITEM_ID, AVAILABLE, *known, *(trait.name for trait in item_map.traits)])
    _check_once(table[ITEM_ID])
    features, unknown = _features(contents, item_map, table)
    vectors = item_map.vectors(features)
    placed = np.asarray(sum(np.diff(one.indptr) for one in features.values())) > 0
    there = _already_there(contents, table, vectors)
    new = placed & ~there
    drops = +Drops({NO_VALUE: int((~placed).sum()), PRESENT: int((placed & there).sum())})
    rows = _as_in(contents, table.filter(pl.Series(new)), known)
    return NewItems(
        rows, vectors[new], {name: one[new] for name, one in features.items()}, drops, unknown
    )


def with_items(contents: Contents, new: NewItems) -> Contents:
    """The contents with new items behind the others; an approximate index is chosen anew by the
    rule of its card.
    """
    count = len(new.table)
    if not count:
        return contents
    item_map, found, log = _required_map(contents), contents.embeddings, contents.interactions
    num_items = log.num_items + count
    encoder = _longer_encoder(found.encoder, item_map.layer_states(new.vectors))
    of_items = {relation.name for relation in encoder.relations if relation.source == ITEM}
    table = (
        pl.DataFrame({ITEM_ID: log.items.ids})
        if contents.item_table is None
        else contents.item_table
    )
    ids = pl.concat([log.items.ids, new.table[ITEM_ID]])
    longer = replace(
        contents,
        embeddings=replace(found, items=_below(found.items, new.vectors), encoder=encoder),
        interactions=replace(
            log, items=IdMap(ids, ITEM), item_codes=np.arange(num_items, dtype=np.int32)
        ),
        neighbours={
            name: _wider(matrix, num_items) if name in of_items else matrix
            for name, matrix in contents.neighbours.items()
        },
        item_table=pl.concat([table, new.table], how="diagonal"),
        added=contents.added and _longer_history(contents.added, count),
        histories=None if contents.histories is None else _wider(contents.histories, num_items),
        model_card={**contents.model_card, "cold_items": contents.cold_items + count},
        cold_items=contents.cold_items + count,
        user_segments=contents.user_segments
        and _longer_segments(contents.user_segments, num_items),
        popular=None
        if contents.popular is None
        else np.append(contents.popular, np.zeros(count, np.float32)),
    )
    return _searched_anew(longer)


def _interactions_of(bundle: "Bundle") -> Interactions:
    """One row for every pair that is seen under a behaviour."""
    found = [bundle.seen[name].tocoo() for name in bundle.segments[1:]]
    counts = [matrix.nnz for matrix in found]
    return Interactions(
        user=np.concatenate([matrix.row for matrix in found]).astype(np.int32),
        item=np.concatenate([matrix.col for matrix in found]).astype(np.int32),
        weight=np.ones(sum(counts), np.float32),
        time=None,
        behavior=np.repeat(np.arange(len(found)), counts).astype(np.int16),
        behaviors=bundle.segments[1:],
        users=bundle.users,
        items=bundle.items,
        user_codes=np.arange(len(bundle.users), dtype=np.int32),
        item_codes=np.arange(len(bundle.items), dtype=np.int32),
    )


def _required_map(contents: Contents) -> ItemMap:
    if contents.item_map is None:
        raise UsageError(
            "this model does not know what its items are, so that new ones cannot be placed",
            'Train with graph.attributes = [{ column = "…" }] of the item table',
        )
    return contents.item_map


def _columns(contents: Contents) -> list[str]:
    """Of the item table, without id and availability."""
    columns = [] if contents.item_table is None else contents.item_table.columns
    return [name for name in columns if name not in (ITEM_ID, AVAILABLE)]


def _check_columns(table: pl.DataFrame, known: list[str]) -> None:
    for name in table.columns:
        if name not in known:
            hint = nearest(name, known) or f"It may have {sorted(set(known))}"
            raise DataError(f"the table of new items has the unknown column {name!r}", hint)


def _check_once(ids: pl.Series) -> None:
    twice = ids.filter(ids.is_duplicated()).unique(maintain_order=True)
    if len(twice):
        raise DataError(
            f"the table of new items names {twice[0]!r} more than once",
            "Give one row for each item",
        )


def _features(
    contents: Contents, item_map: ItemMap, table: pl.DataFrame
) -> tuple[dict[str, sparse.csr_matrix], dict[str, int]]:
    """By trait, (rows, values) of the table, and the number of values that are not known."""
    features, unknown = {}, {}
    for trait in item_map.traits:
        if trait.feature is not None:
            features[trait.name], unknown[trait.name] = _numbers(trait.feature, trait.name, table)
            continue
        labels = (
            contents.interactions.items.ids.to_list()
            if trait.source == ITEM
            else contents.labels[trait.source]
        )
        nothing = pl.Series(trait.name, [None] * len(table), dtype=pl.String)
        column = table[trait.name] if trait.name in table.columns else nothing
        fitted = len(item_map.weights[trait.name])
        features[trait.name], unknown[trait.name] = features_of(
            column, labels[:fitted], trait.separator
        )
    return features, unknown


def _numbers(
    feature: dict[str, Any], name: str, table: pl.DataFrame
) -> tuple[sparse.csr_matrix, int]:
    """(rows, numbers) of a column, and 0: a row without any has no value that could be unknown."""
    if name not in table.columns:
        return sparse.csr_matrix((len(table), len(feature["mean"])), dtype=np.float32), 0
    return sparse.csr_matrix(FeatureColumn.read(feature).apply(table[name])[0]), 0


def _already_there(contents: Contents, table: pl.DataFrame, vectors: Float32Array) -> BoolArray:
    """(rows,) which are there as they would be placed now. Raises DataError for an id that stands
    for something else.
    """
    log = contents.interactions
    dense = log.items.lookup(table[ITEM_ID].to_list())
    taken = np.flatnonzero(dense != UNKNOWN)
    for row in taken:
        if not np.array_equal(contents.embeddings.items[dense[row]], vectors[row]):
            trained = dense[row] < log.num_items - contents.cold_items
            what = "was trained" if trained else "was added with other values"
            raise DataError(
                f"item {table[ITEM_ID][int(row)]!r} is already there: it {what}",
                "Leave it out; the next recsys run reads it from the item table",
            )
    return np.asarray(dense != UNKNOWN)


def _as_in(contents: Contents, table: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """The rows with the columns and types of the item table. Raises DataError for a column that
    does not fit.
    """
    available = (
        table[AVAILABLE]
        if AVAILABLE in table.columns
        else pl.Series(AVAILABLE, [True] * len(table))
    )
    found = table.select(ITEM_ID).with_columns(available.cast(pl.Boolean).fill_null(True))
    for name in columns:
        kind = contents.item_table[name].dtype if contents.item_table is not None else pl.String()
        column = table[name] if name in table.columns else pl.Series(name, [None] * len(table))
        try:
            found = found.with_columns(column.cast(kind))
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"column {name!r} of the table of new items is not of type {kind}: {error}"
            ) from None
    return found


def _longer_encoder(encoder: EncoderState, states: Float32Array) -> EncoderState:
    """states: (layers, n, d) of new items, to which nothing leads yet."""
    if ITEM not in encoder.states:
        return encoder
    none = np.zeros(states.shape[1], np.float32)
    relations = tuple(
        replace(one, source_degree=np.concatenate([one.source_degree, none]))
        if one.source == ITEM
        else one
        for one in encoder.relations
    )
    both = np.concatenate([encoder.states[ITEM], states], axis=1)
    return replace(encoder, states={**encoder.states, ITEM: both}, relations=relations)


def _longer_history(added: HistoryScores, count: int) -> HistoryScores:
    """New items lend nothing and are lent nothing, and nobody took them of late."""
    size = added.table.shape[0] + count
    return replace(
        added,
        table=_wider(added.table, size, size),
        into=_below(added.into, np.zeros((count, added.into.shape[1]), np.float32)),
        back=_below(added.back, np.zeros((count, added.back.shape[1]), np.float32)),
        auxiliary_gains={
            name: np.concatenate([gain, np.zeros(count, np.float32)])
            for name, gain in added.auxiliary_gains.items()
        },
    )


def _longer_segments(segments: Segments, num_items: int) -> Segments:
    return replace(segments, counts=_wider(segments.counts, num_items))


def _searched_anew(contents: Contents) -> Contents:
    """With an index over the present items, to the recall that its card promises; exact search
    needs none.
    """
    if contents.index is None:
        return contents
    found, card = contents.embeddings, contents.index_card
    vectors = VectorScorer(np.asarray(found.users), found.items)
    if contents.added is not None and contents.histories is not None:
        vectors = VectorScorer(
            *contents.added.widened(vectors.user_vectors, vectors.item_vectors, contents.histories)
        )
    config = IndexConfig(kind=card["kind"], target_recall=card["target_recall"], k=card["k"])
    popularity = contents.interactions.popularity(contents.target)
    tuned = tune(
        vectors.item_vectors, vectors.user_vectors, config, seed=card["seed"], popularity=popularity
    )
    return replace(contents, index=tuned.index, index_card=tuned.card)


def _wider(matrix: sparse.csr_matrix, columns: int, rows: int | None = None) -> sparse.csr_matrix:
    """The same entries in a larger matrix."""
    indptr = np.asarray(matrix.indptr)
    missing = 0 if rows is None else rows - matrix.shape[0]
    indptr = np.concatenate([indptr, np.full(missing, indptr[-1], indptr.dtype)])
    return sparse.csr_matrix(
        (matrix.data, matrix.indices, indptr), shape=(len(indptr) - 1, columns)
    )


def _below(upper: Float32Array, lower: Float32Array) -> Float32Array:
    return np.concatenate([upper, lower])
