"""Tables beside the log (items, users, availability): one row an id, and a count of all that is merged
or left out.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from recsys.core.config import DataConfig
from recsys.core.errors import DataError
from recsys.core.ids import holds_whole_floats, id_column
from recsys.core.tables import AVAILABLE, ITEM_ID, TITLE, USER_ID, require_columns
from recsys.logs.read import explained
from recsys.logs.sources import Part, open_parts
from recsys.logs.text import BROKEN, TextOptions

LITTLE_MATCH = 0.5
"""A table with rows for a smaller share of the log's ids than this is warned about."""
_INTEGER = r"^-?(?:0|[1-9]\d*)$"
_NUMBER = r"^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$|^[-+]?inf$|^NaN$"
_PADDED = r"^[-+]?0\d"
_TRUTH = {
    "true": True,
    "1": True,
    "yes": True,
    "1.0": True,
    "false": False,
    "0": False,
    "no": False,
    "0.0": False,
}


@dataclass(frozen=True)
class SideFacts:
    """What became of the rows of a side table.

    table: what it is, "item table" say.
    file: as configured.
    rows: read.
    broken: lines that were not read.
    without_id: rows left out.
    repeated: rows of an id that has an earlier row.
    merged: columns whose differing texts were gathered in lists.
    ids: different ones.
    matched: ids of the log that have a row.
    log_ids: ids of the log.
    """

    table: str
    file: str
    rows: int
    broken: int
    without_id: int
    repeated: int
    merged: tuple[str, ...]
    ids: int
    matched: int | None = None
    log_ids: int | None = None

    def document(self) -> dict[str, Any]:
        """The facts as JSON."""
        return asdict(self) | {"merged": list(self.merged)}


@dataclass(frozen=True)
class SideTable:
    """rows: one an id, its id column first. facts: what became of the others."""

    rows: pl.DataFrame
    facts: SideFacts

    def matched_with(self, ids: pl.Series) -> SideFacts:
        """The facts, and how many of the log's ids have a row."""
        known = self.rows[self.rows.columns[0]]
        matched = int(ids.is_in(known.implode()).sum())
        return replace(self.facts, matched=matched, log_ids=len(ids))

    def warnings(self, ids: pl.Series) -> list[str]:
        """Sentences on rows that were merged or left out, and on a join that finds little."""
        facts = self.matched_with(ids)
        name = f"the {facts.table} {facts.file!r}"
        sentences = []
        if facts.broken:
            sentences.append(f"{name} has {_count(facts.broken, 'broken line')}, left out")
        if facts.without_id:
            without_id = _count(facts.without_id, "row")
            sentences.append(f"{name} has {without_id} without an id, left out")
        if facts.repeated:
            sentences.append(f"{name} names ids more than once: {_merging(facts)}")
        if facts.matched == 0 and facts.ids:
            sentences.append(f"{name} matches nothing: {self._unlike(ids)}")
        elif facts.matched is not None and self._is_little(facts.matched, len(ids)):
            sentences.append(
                f"{name} matches little: {facts.matched:,} of {len(ids):,} ids of the log have a row; "
                f"{self._unlike(ids)}"
            )
        return sentences

    def _is_little(self, matched: int, num_ids: int) -> bool:
        """Whether a join finds less than one expects; withdrawn items may well be few."""
        return matched < LITTLE_MATCH * num_ids and self.facts.table != "availability file"

    def _unlike(self, ids: pl.Series) -> str:
        """An id of each side that the other lacks."""
        known = self.rows[self.rows.columns[0]]
        missing = ids.filter(~ids.is_in(known.implode()))
        unused = known.filter(~known.is_in(ids.implode()))
        of_table = f", the table {unused[0]!r}" if len(unused) else ""
        return f"the log has {missing[0]!r} say{of_table}. Write ids alike in both"


def read_items(data: DataConfig) -> SideTable | None:
    """The item table: ITEM_ID, TITLE when there is one, then its other columns; None when no table
    is named.
    """
    if data.items is None:
        return None
    rows, facts = _read_rows(data.items, data.item_col, ITEM_ID, "item table", data)
    if AVAILABLE in rows.columns:
        # An item is available unless said otherwise.
        stated = rows[AVAILABLE].cast(pl.String).fill_null("true")
        rows = rows.with_columns(_truth(stated))
    return _one_row_an_id(_with_title(rows, data), facts)


def read_item_rows(source: str, data: DataConfig) -> pl.DataFrame:
    """The same of any file, with every row that names an item. Raises DataError for a file that
    cannot be read.
    """
    rows, _ = _read_rows(source, data.item_col, ITEM_ID, "item table", data)
    return _with_title(rows, data)


def read_users(data: DataConfig) -> SideTable | None:
    """The user table: USER_ID, then its other columns; None when no table is named."""
    if data.users is None:
        return None
    rows, facts = _read_rows(data.users, data.user_col, USER_ID, "user table", data)
    return _one_row_an_id(rows, facts)


def read_availability(data: DataConfig) -> SideTable | None:
    """ITEM_ID and AVAILABLE; a file of ids alone lists withdrawn items. None when no file is named."""
    if data.availability is None:
        return None
    rows, facts = _read_rows(data.availability, data.item_col, ITEM_ID, "availability file", data)
    if AVAILABLE not in rows.columns:
        rows = rows.with_columns(pl.lit(False).alias(AVAILABLE))
    rows = rows.select(ITEM_ID, _truth(rows[AVAILABLE]))
    return _one_row_an_id(rows, facts)


def read_lists(source: str) -> pl.DataFrame:
    """Ranked lists of another system, with the columns of the file; values of text files stay text.

    Raises DataError for a file that cannot be read, and for a line that does not fit the others.
    """
    with explained(f"the lists {source!r}"):
        tables = []
        for table_file in open_parts(source, TextOptions()):
            rows = table_file.frame.collect()
            tables.append(rows.drop(BROKEN, strict=False))
        return pl.concat(tables, how="diagonal_relaxed")


def _with_title(rows: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    if data.title_col in rows.columns and data.title_col != TITLE:
        rows = rows.drop(TITLE, strict=False).rename({data.title_col: TITLE})
    first = [ITEM_ID, TITLE] if TITLE in rows.columns else [ITEM_ID]
    return rows.select(*first, pl.exclude(first))


def _read_rows(
    source: str, id_col: str, standard: str, table: str, data: DataConfig
) -> tuple[pl.DataFrame, SideFacts]:
    """All rows of a side table that have an id.

    Args:
        source: file, folder, glob or URL.
        id_col: column of the ids, where the file has it.
        standard: name of the id column in the result, and in files without `id_col`.
        table: what it is, for messages.
        data: how text is read.

    Returns:
        The rows, their id column first, and facts on those left out.
    """
    options = TextOptions(data.separator, None, data.broken_lines == "count", typed=True)
    with explained(f"the {table} {source!r}"):
        tables = []
        num_broken = 0
        for table_file in open_parts(source, options):
            rows = table_file.frame.collect()
            if BROKEN in rows.columns:
                num_broken += int(rows[BROKEN].sum())
                rows = rows.filter(~pl.col(BROKEN)).drop(BROKEN)
            tables.append(_with_types(table_file, rows, (id_col, standard)))
        rows = pl.concat(tables, how="diagonal_relaxed")
    # The standard name stands in for a configured one; where neither is there, it is the configured
    # one that the message names.
    column = standard
    if id_col in rows.columns or standard not in rows.columns:
        column = id_col
    setting = "user_col" if standard == USER_ID else "item_col"
    require_columns(rows.columns, {column: setting}, f"the {table} {source!r}")
    if column != standard:
        # Else two columns would have the standard name.
        rows = rows.drop(standard, strict=False)
    kind = rows.schema[column]
    whole_floats = kind == pl.String and holds_whole_floats(rows[column])
    ids = id_column(pl.col(column), kind, whole_floats)
    rows = rows.select(ids.alias(standard), pl.exclude(column))
    with_id = rows.filter(pl.col(standard).is_not_null())
    num_without = len(rows) - len(with_id)
    facts = SideFacts(table, source, len(rows), num_broken, num_without, 0, (), 0)
    return with_id, facts


def _with_types(table_file: Part, rows: pl.DataFrame, ids: tuple[str, str]) -> pl.DataFrame:
    """Columns of text as numbers and true or false where all their values read so; ids stay text."""
    if not table_file.text:
        return rows
    typed = []
    for column in rows.columns:
        values = rows[column]
        if column not in ids:
            values = _typed(values)
        typed.append(values)
    return pl.DataFrame(typed)


def _typed(values: pl.Series) -> pl.Series:
    """Text as whole numbers, numbers, or true and false, if all of it reads so; else as it stands.

    Numbers with a leading zero are codes (postal codes, say) and stay text.
    """
    known = values.drop_nulls()
    if not len(known) or known.str.contains(_PADDED).any():
        return values
    # A number that its type cannot hold would become null: then all stay text.
    if known.str.contains(_INTEGER).all():
        integers = values.cast(pl.Int64, strict=False)
        return values if integers.null_count() > values.null_count() else integers
    if known.str.contains(_NUMBER).all():
        numbers = values.cast(pl.Float64, strict=False)
        return values if numbers.null_count() > values.null_count() else numbers
    if known.is_in(["true", "false"]).all():
        return values == "true"
    return values


def _one_row_an_id(rows: pl.DataFrame, facts: SideFacts) -> SideTable:
    """The first row of each id; texts that differ are gathered in lists.

    Raises DataError for an id that is said to be available and not.
    """
    id_column_name = rows.columns[0]
    first = rows.unique(id_column_name, keep="first", maintain_order=True)
    num_repeated = len(rows) - len(first)
    merged = []
    if num_repeated:
        repeated = rows.filter(pl.col(id_column_name).is_duplicated())
        for column in rows.columns[1:]:
            if column == AVAILABLE:
                _require_one_value(repeated, id_column_name, facts)
                continue
            may_merge = column != TITLE and _is_text(rows.schema[column])
            if may_merge and _differs(repeated, id_column_name, column):
                merged.append(column)
        for column in merged:
            first = first.with_columns(_gathered(rows, id_column_name, column))
    facts = replace(facts, repeated=num_repeated, merged=tuple(merged), ids=len(first))
    return SideTable(first, facts)


def _is_text(kind: pl.DataType) -> bool:
    return kind in (pl.String, pl.Categorical) or kind == pl.List(pl.String)


def _differs(repeated: pl.DataFrame, ids: str, column: str) -> bool:
    """Whether rows of one id have several values."""
    present = repeated.filter(pl.col(column).is_not_null())
    counts = present.group_by(ids).agg(pl.col(column).n_unique())
    has_several = counts[column] > 1
    return bool(has_several.any())


def _gathered(rows: pl.DataFrame, ids: str, column: str) -> pl.Series:
    """For each id, in the order of first appearance, the list of its different texts."""
    texts = rows.select(ids, column)
    if isinstance(texts.schema[column], pl.List):
        texts = texts.explode(column)
    text = pl.col(column).cast(pl.String)
    distinct_texts = text.drop_nulls().unique(maintain_order=True)
    # The order of first appearance is that of the rows which it is laid beside.
    of_ids = texts.group_by(ids, maintain_order=True).agg(distinct_texts)
    return of_ids[column]


def _require_one_value(repeated: pl.DataFrame, ids: str, facts: SideFacts) -> None:
    """Raises DataError for an id that is said to be available and not."""
    counts = repeated.group_by(ids, maintain_order=True).agg(pl.col(AVAILABLE).n_unique())
    torn = counts.filter(pl.col(AVAILABLE) > 1)[ids]
    if len(torn):
        raise DataError(
            f"the {facts.table} {facts.file!r} says that {torn[0]!r} is available and that it is not",
            f"Keep one row of each id ({len(torn):,} are so)",
        )


def _truth(column: pl.Series) -> pl.Series:
    """true/false, 1/0 or yes/no as Boolean; anything else is refused."""
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    truth = text.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    unreadable = column.filter(truth.is_null())
    if len(unreadable):
        raise DataError(f"column {AVAILABLE!r} holds {unreadable[0]!r}", "Write true or false")
    return truth.alias(AVAILABLE)


def _merging(facts: SideFacts) -> str:
    """How repeated rows were merged."""
    merging = "the first row of each stays"
    if facts.merged:
        merging += f", and different texts of {', '.join(facts.merged)} are gathered in lists"
    return f"{_count(facts.repeated, 'row')} are repeated; {merging}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
