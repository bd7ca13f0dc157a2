"""Items that a phase has no row of: placed by what they are, beside those that training placed."""

import numpy as np
import polars as pl

from recsys.bundle.bundle import Bundle
from recsys.cold_items.fit import fit_item_map
from recsys.cold_items.item_map import ItemMap
from recsys.cold_items.log_items import LogItems
from recsys.cold_items.new_items import KnownItems, NewItems, read_new_items
from recsys.core.arrays import IntArray
from recsys.core.encoder import Embeddings
from recsys.core.tables import ITEM
from recsys.graph.schema import Graph
from recsys.phases.phase import Phase


def item_map(phase: Phase, graph: Graph, embeddings: Embeddings) -> ItemMap | None:
    """From what the items of a phase are to where training has put them; None where the graph does
    not say.
    """
    return fit_item_map(graph, embeddings, _links(phase), separators_of(phase))


def with_cold_items(bundle: Bundle, phase: Phase) -> Bundle:
    """With the items of the item table that the phase has no row of."""
    log = phase.log
    if bundle.item_map is None:
        return bundle
    codes = np.setdiff1d(np.arange(len(log.items)), phase.interactions.item_codes)
    cold = table_of_items(phase, codes, bundle.item_map)
    if log.cold_items is not None:
        cold = pl.concat([cold, log.cold_items], how="diagonal_relaxed")
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


def table_of_items(phase: Phase, codes: IntArray, item_map: ItemMap) -> pl.DataFrame:
    """What a table of new items would say of items of the log, (codes,) ascending."""
    items = LogItems(phase.log, phase.relations, _links(phase), phase.until)
    return items.table(codes, item_map)


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
