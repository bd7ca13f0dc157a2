"""Items that a phase has no row of: placed by what they are, beside those that training placed."""

from collections import defaultdict
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.closed_form.ridge_map import ridge_map
from recsys.cold_items.item_map import ItemFeature, ItemMap
from recsys.cold_items.new_items import KnownItems, NewItems, read_new_items
from recsys.core.arrays import IntArray
from recsys.core.edge_rows import EdgeRows
from recsys.core.encoder import Embeddings
from recsys.core.features import FEATURE
from recsys.core.tables import DESTINATION, ITEM, LABEL, SOURCE, TIME
from recsys.graph.schema import Graph
from recsys.graph.traits import item_traits
from recsys.phases.phase import Phase


def item_map(phase: Phase, graph: Graph, embeddings: Embeddings) -> ItemMap | None:
    """From what the items of a phase are to where training has put them; None where the graph does
    not say.
    """
    found = item_traits(graph, _links(phase))
    if not found:
        return None
    features = sparse.hstack([matrix for _, matrix in found.values()], format="csr")
    fitted = ridge_map(features, embeddings.items)
    predicted = fitted.predict(features[np.diff(features.indptr) > 0])
    ends = np.cumsum([matrix.shape[1] for _, matrix in found.values()])[:-1]
    separators, numbers = separators_of(phase), _numbers_of(graph)
    return ItemMap(
        features=tuple(
            ItemFeature(
                name, source, separators.get(name), numbers[name] if source == FEATURE else None
            )
            for name, (source, _) in found.items()
        ),
        mean=fitted.mean,
        weights=dict(zip(found, np.split(fitted.weights, ends), strict=True)),
        length=float(np.linalg.norm(predicted, axis=1).mean()),
        states=_states_from(embeddings),
        ridge=fitted.ridge,
        likeness=fitted.likeness,
    )


def with_cold_items(bundle: Bundle, phase: Phase) -> Bundle:
    """With the items of the item table that the phase has no row of."""
    log = phase.log
    if bundle.item_map is None:
        return bundle
    codes = np.setdiff1d(np.arange(len(log.items)), phase.interactions.item_codes)
    elsewhere = table_of_items(phase, codes, bundle.item_map)
    cold = (
        elsewhere
        if log.cold_items is None
        else pl.concat([elsewhere, log.cold_items], how="diagonal_relaxed")
    )
    return bundle.append_items(bundle.read_new_items(cold))


def place_items(
    phase: Phase, graph: Graph, embeddings: Embeddings, codes: IntArray
) -> NewItems | None:
    """Items of the log that the phase has no row of, placed by what they are; None where the graph
    does not say.
    """
    found = item_map(phase, graph, embeddings)
    if found is None:
        return None
    known = KnownItems(phase.interactions.items, phase.item_table, embeddings.items, graph.labels)
    return read_new_items(found, known, table_of_items(phase, codes, found))


def table_of_items(phase: Phase, codes: IntArray, item_map: ItemMap) -> pl.DataFrame:
    """What a table of new items would say of items of the log, (codes,) ascending.

    Their rows of the item table; and under the name of each trait that is no column of it, the list
    of its values.
    """
    traits = {feature.name for feature in item_map.features}.difference(
        phase.log.item_table.columns
    )
    table = phase.log.item_table[codes].with_columns(pl.Series(ITEM, codes, dtype=pl.Int32))
    values: dict[str, list[pl.DataFrame]] = defaultdict(list)
    for relation in phase.relations:
        for name, pairs in _values(phase, relation):
            values[name].append(pairs)
    for name in sorted(traits & values.keys()):
        lists = (
            pl.concat(values[name]).group_by(ITEM).agg(pl.col(LABEL).unique().sort().alias(name))
        )
        table = table.join(lists, on=ITEM, how="left", maintain_order="left")
    return table.drop(ITEM)


def _values(phase: Phase, relation: EdgeRows) -> list[tuple[str, pl.DataFrame]]:
    """The trait that a relation of files belongs to, if any, and its rows ITEM (code), LABEL (text)
    known to the phase.
    """
    rows, (first, second) = relation.rows, relation.ends
    if phase.until is not None and TIME in rows.columns:
        rows = rows.filter(pl.col(TIME) <= phase.until)
    there = rows.select(pl.col(SOURCE).alias(ITEM), pl.col(DESTINATION).alias(LABEL))
    back = rows.select(pl.col(DESTINATION).alias(ITEM), pl.col(SOURCE).alias(LABEL))
    if first == second == ITEM:
        pairs = there if relation.directed else pl.concat([there, back])
        named = pairs.with_columns(phase.log.items.ids.gather(pairs[LABEL]).alias(LABEL))
        return [(relation.name, named)] if relation.name in _links(phase) else []
    if first == ITEM and second.startswith(f"{ITEM}:"):
        return [(second.partition(":")[2], there)]
    if second == ITEM and first.startswith(f"{ITEM}:"):
        return [(first.partition(":")[2], back)]
    return []


def _links(phase: Phase) -> list[str]:
    """Relations between items that come from files of their own."""
    return [one.name for one in phase.config.graph.relations if one.ends == (ITEM, ITEM)]


def _states_from(embeddings: Embeddings) -> np.ndarray:
    """(layers, d, d) by least squares, from the vectors of items to what they send in each layer."""
    vectors = np.asarray(embeddings.items, np.float64)
    states = [
        np.linalg.lstsq(vectors, np.asarray(one, np.float64), rcond=None)[0]
        for one in embeddings.encoder.states[ITEM]
    ]
    return np.stack(states).astype(np.float32)


def _numbers_of(graph: Graph) -> dict[str, dict[str, Any]]:
    """By column that is a feature of items, how it becomes numbers."""
    return (
        {one.column: one.document() for one in graph.features[ITEM].columns}
        if ITEM in graph.features
        else {}
    )


def separators_of(phase: Phase) -> dict[str, str]:
    """Of the columns of the item table whose text holds several values."""
    attributes = phase.config.graph.attributes
    return {one.column: one.separator for one in attributes if one.side == ITEM and one.separator}
