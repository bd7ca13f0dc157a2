"""Items that a phase has no row of: placed by what they are, beside those that training placed."""

from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.cold_items.fit import fit_item_map
from recsys.cold_items.item_map import ItemMap
from recsys.cold_items.log_items import LogItems
from recsys.cold_items.new_items import KnownItems, NewItems, read_new_items
from recsys.core.arrays import BoolArray, Float32Array, IntArray
from recsys.core.encoder import Embeddings
from recsys.core.ids import UNKNOWN
from recsys.core.interactions import dense_of
from recsys.core.tables import ITEM, ITEM_ID, USER
from recsys.graph.schema import Graph
from recsys.phases.phase import Phase


def item_map(phase: Phase, graph: Graph, embeddings: Embeddings) -> ItemMap | None:
    """From what the items of a phase are to where training has put them; None where the graph does
    not say.
    """
    return fit_item_map(
        graph, embeddings, _links(phase), separators_of(phase), phase.content_features
    )


def with_cold_items(bundle: Bundle, phase: Phase) -> Bundle:
    """With the items of the item table that the phase has no row of."""
    log = phase.log
    if bundle.item_map is None:
        return bundle
    all_codes = np.arange(len(log.items))
    codes = np.setdiff1d(all_codes, phase.interactions.item_codes, assume_unique=True)
    items = _log_items(phase)
    cold = items.table(codes, bundle.item_map)
    if log.cold_items is not None:
        never_taken = items.with_contents(log.cold_items, bundle.item_map)
        cold = pl.concat([cold, never_taken], how="diagonal_relaxed")
    return bundle.append_items(bundle.read_new_items(cold))


def place_items(
    phase: Phase, graph: Graph, embeddings: Embeddings, codes: IntArray
) -> NewItems | None:
    """Items of the log that the phase has no row of, placed by what they are; None where the graph
    does not say.

    Args:
        phase: whose items are known.
        graph: of that phase.
        embeddings: what training gave.
        codes: items of the log, ascending.
    """
    fitted = item_map(phase, graph, embeddings)
    if fitted is None:
        return None
    known = KnownItems(phase.interactions.items, phase.item_table, embeddings.items, graph.labels)
    return read_new_items(fitted, known, table_of_items(phase, codes, fitted))


class PlacedItems(NamedTuple):
    """Items of a log that a phase has no row of.

    vectors: (cold, d), zeros where nothing is known.
    is_placed: (cold,) whether something is.
    held_out: (users of the phase, cold) 1 for each held-out pair.
    """

    vectors: Float32Array
    is_placed: BoolArray
    held_out: sparse.csr_matrix


def place_cold_items(phase: Phase, graph: Graph, embeddings: Embeddings) -> PlacedItems | None:
    """All cold items of what is held out; None where there are none, or none can be placed."""
    all_codes = np.arange(len(phase.log.items))
    codes = np.setdiff1d(all_codes, phase.interactions.item_codes, assume_unique=True)
    if not len(codes):
        return None
    new = place_items(phase, graph, embeddings, codes)
    if new is None:
        return None
    placed_codes = phase.log.items.lookup(new.table[ITEM_ID].to_list())
    rows = np.searchsorted(codes, placed_codes)
    vectors = np.zeros((len(codes), new.vectors.shape[1]), np.float32)
    vectors[rows] = new.vectors
    is_placed = np.zeros(len(codes), bool)
    is_placed[rows] = True
    return PlacedItems(vectors, is_placed, _held_out_pairs(phase, codes))


def _held_out_pairs(phase: Phase, codes: IntArray) -> sparse.csr_matrix:
    """(users, items of `codes`) 1 for each held-out pair of a known user and one of them."""
    rows = phase.judge.held_out.cold
    user = dense_of(rows[USER].to_numpy(), phase.interactions.user_codes)
    item = dense_of(rows[ITEM].to_numpy(), codes.astype(np.int32))
    both = (user != UNKNOWN) & (item != UNKNOWN)
    ones = np.ones(int(both.sum()), np.float32)
    shape = (phase.interactions.num_users, len(codes))
    pairs = sparse.csr_matrix((ones, (user[both], item[both])), shape=shape)
    pairs.data[:] = 1.0
    return pairs


def table_of_items(phase: Phase, codes: IntArray, item_map: ItemMap) -> pl.DataFrame:
    """What a table of new items would say of items of the log, (codes,) ascending."""
    return _log_items(phase).table(codes, item_map)


def _log_items(phase: Phase) -> LogItems:
    return LogItems(phase.log, phase.relations, _links(phase), phase.until, phase.contents)


def separators_of(phase: Phase) -> dict[str, str]:
    """Of the columns of the item table whose text holds several values."""
    separators = {}
    for attribute in phase.config.graph.attributes:
        if attribute.side == ITEM and attribute.separator:
            separators[attribute.column] = attribute.separator
    return separators


def _links(phase: Phase) -> list[str]:
    """Relations between items that come from files of their own."""
    relations = phase.config.graph.relations
    return [relation.name for relation in relations if relation.ends == (ITEM, ITEM)]
