"""Items of a log, as a table of new items would tell of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from recsys.cold_items.item_map import ItemMap
from recsys.content.features import ContentRows
from recsys.core.arrays import IntArray
from recsys.core.edge_rows import EdgeRows
from recsys.core.tables import DESTINATION, ITEM, ITEM_ID, LABEL, SOURCE, TIME
from recsys.logs.ingest import CodedLog


@dataclass(frozen=True)
class LogItems:
    """Where the values of a log's items are found.

    log: with the item table.
    relations: rows of relations from files.
    links: those between items.
    until: last moment (unix seconds) of the rows that may be known; None for all.
    contents: texts and pictures.
    """

    log: CodedLog
    relations: Sequence[EdgeRows]
    links: Collection[str]
    until: int | None = None
    contents: Sequence[ContentRows] = ()

    def table(self, codes: IntArray, item_map: ItemMap) -> pl.DataFrame:
        """Rows of the item table at (codes,) ascending; and under the name of each feature that is
        no column of it, the list of its values.
        """
        item_table = self.log.item_table
        code_column = pl.Series(ITEM, codes, dtype=pl.Int32)
        rows = item_table[codes].with_columns(code_column)
        features = {feature.name for feature in item_map.features}
        rows = self.with_contents(rows, item_map)
        missing = features.difference(rows.columns)
        for name in sorted(missing):
            pairs = self._values(name)
            if pairs is not None:
                values = pl.col(LABEL).unique().sort()
                lists = pairs.group_by(ITEM).agg(values.alias(name))
                rows = rows.join(lists, on=ITEM, how="left", maintain_order="left")
        return rows.drop(ITEM)

    def with_contents(self, rows: pl.DataFrame, item_map: ItemMap) -> pl.DataFrame:
        """Rows with ITEM_ID, and under the name of each feature its text or the path of its picture."""
        features = {feature.name for feature in item_map.features}
        for content in self.contents:
            if content.config.name in features:
                rows = rows.with_columns(content.of(rows[ITEM_ID]))
        return rows

    def _values(self, name: str) -> pl.DataFrame | None:
        """Rows ITEM (code), LABEL (text) of a feature; None where no relation belongs to it."""
        pairs = []
        for relation in self.relations:
            rows = self._values_in(relation, name)
            if rows is not None:
                pairs.append(rows)
        return pl.concat(pairs) if pairs else None

    def _values_in(self, relation: EdgeRows, name: str) -> pl.DataFrame | None:
        """What one relation says of a feature; None where it belongs to another."""
        rows = relation.rows
        if self.until is not None and TIME in rows.columns:
            rows = rows.filter(pl.col(TIME) <= self.until)
        source, destination = pl.col(SOURCE), pl.col(DESTINATION)
        forward = rows.select(source.alias(ITEM), destination.alias(LABEL))
        backward = rows.select(destination.alias(ITEM), source.alias(LABEL))
        attribute = f"{ITEM}:{name}"
        if relation.ends == (ITEM, ITEM):
            if relation.name != name or name not in self.links:
                return None
            pairs = forward if relation.directed else pl.concat([forward, backward])
            ids = self.log.items.ids.gather(pairs[LABEL])
            return pairs.with_columns(ids.alias(LABEL))
        if relation.ends == (ITEM, attribute):
            return forward
        if relation.ends == (attribute, ITEM):
            return backward
        return None
