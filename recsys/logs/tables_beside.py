"""What lies beside a log: the other parts of a published split, and tables of its users and items."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.core.errors import DataError
from recsys.core.ids import id_column
from recsys.logs.column_roles import Choice, are_numbers, word_set, words_of
from recsys.logs.formats import all_endings, ending_of
from recsys.logs.packed import is_remote
from recsys.logs.sources import open_parts
from recsys.logs.text import BROKEN, TextOptions

_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
_MOST_FILES = 20
_LOOKED_AT = 50_000  # rows of a table
_MATCHING = 0.5
"""Share of a table's ids that the log must have."""
_MOST_VALUES = 1000
_SHARED = 2.0
"""Owners that a value must have on average before it links anything."""
_MOST_ATTRIBUTES = 4
_TITLES = ("title", "name", "description")
_USER_LINKS = word_set("friend friends trust trustee trusts follow follows contact peer")
_ITEM_LINKS = word_set("cites cite cited related similar also linked parent")


@dataclass(frozen=True)
class SplitFiles:
    """Files of a published split, by "train", "validation" and "test"."""

    files: dict[str, str]


def split_files(log: str) -> SplitFiles | None:
    """The published split that a file is part of, told from names such as train.csv beside test.csv.

    None when there is none.
    """
    path = Path(log)
    if is_remote(log) or not path.is_file() or _part_of_split(path) is None:
        return None
    files: dict[str, str] = {}
    for file in sorted(path.parent.iterdir()):
        split_part = _part_of_split(file)
        if split_part is not None and file.suffix == path.suffix:
            files.setdefault(split_part, str(file))
    return SplitFiles(files) if {"train", "test"} <= files.keys() else None


def signals_beside(
    log_files: Sequence[str], user_col: str, item_col: str, users: pl.Series, items: pl.Series
) -> list[Choice]:
    """What the tables in the log's folder could add: titles, attributes and relations.

    Args:
        log_files: Of the log; the other tables of the first one's folder are looked at.
        user_col, item_col: As the log calls its ids; tables that call them otherwise are not found.
        users, items: Ids of the log, as text.

    Returns:
        Choices of `data.items`, `data.users`, `data.title_col`, `graph.attributes` and
        `graph.relations`.
    """
    own = {str(Path(file).resolve()) for file in log_files}
    choices: list[Choice] = []
    for file in _tables_in(Path(log_files[0]).parent):
        if str(file.resolve()) in own or _part_of_split(file) is not None:
            continue
        table = _first_rows(file)
        if table is None:
            continue
        taken = {choice.key for choice in choices}
        if {user_col, item_col} <= set(table.columns):
            continue  # another log
        if item_col in table.columns and _match(table[item_col], items) >= _MATCHING:
            choices += _of_side("item", file, table, item_col, taken)
        elif user_col in table.columns and _match(table[user_col], users) >= _MATCHING:
            choices += _of_side("user", file, table, user_col, taken)
    return choices


def _part_of_split(path: Path) -> str | None:
    stem = path.name.split(".")[0].lower()
    for split_part, names in _SPLITS.items():
        if stem in names or any(re.fullmatch(rf".*[_-]{name}", stem) for name in names):
            return split_part
    return None


def _tables_in(folder: Path) -> list[Path]:
    files = []
    for file in sorted(folder.iterdir()):
        if file.is_file() and ending_of(file.name) in all_endings():
            files.append(file)
    return files[:_MOST_FILES]


def _first_rows(file: Path) -> pl.DataFrame | None:
    """The first rows of a table; None for what cannot be read as one."""
    try:
        [table] = open_parts(file, TextOptions(count_broken=True, typed=True))
        rows = table.frame.head(_LOOKED_AT).collect()
    except (DataError, pl.exceptions.PolarsError, OSError):
        return None
    return rows.drop(BROKEN, strict=False)


def _match(ids: pl.Series, known: pl.Series) -> float:
    """Share of a table's ids that the log has."""
    # By the rule for ids: 42.0 of the table is 42 of the log.
    as_text = id_column(pl.col(ids.name), ids.dtype, False)
    texts = ids.to_frame().select(as_text).to_series()
    distinct = texts.drop_nulls().unique()
    if not len(distinct):
        return 0.0
    is_known = distinct.is_in(known.implode())
    return float(is_known.mean() or 0.0)  # type: ignore[arg-type]


def _of_side(
    side: str, file: Path, table: pl.DataFrame, id_col: str, taken: set[str]
) -> list[Choice]:
    """What one table says about items or users."""
    others = [name for name in table.columns if name != id_col]
    is_side_table = table[id_col].n_unique() == len(table)
    says = _attributes(side, table, others)
    if side == "item":
        says = [*_title(table, others), *says]
    if is_side_table and says and f"data.{side}s" not in taken:
        reason = f"{file.name} has a row for each {side}, and most of its ids are in the log"
        return [Choice(f"data.{side}s", str(file), reason), *says]
    if len(others) == 1 and _is_shared(table[others[0]]):
        return [_relation(side, file, id_col, others[0])]
    return []


def _title(table: pl.DataFrame, columns: Sequence[str]) -> list[Choice]:
    for wanted in _TITLES:
        for name in columns:
            if wanted in words_of(name) and table[name].dtype == pl.String:
                return [Choice("data.title_col", name, f"{name!r} is what people read")]
    return []


def _attributes(side: str, table: pl.DataFrame, columns: Sequence[str]) -> list[Choice]:
    """Columns whose values several owners share become nodes."""
    choices = []
    for name in columns:
        values = table[name].drop_nulls()
        is_list = values.dtype == pl.List(pl.String)
        if not is_list and (values.dtype != pl.String or are_numbers(values)):
            continue
        flat = values.explode(empty_as_null=True).drop_nulls() if is_list else values
        distinct = flat.n_unique()
        # One value of all tells nobody apart; one of each links nobody.
        if not 2 <= distinct <= _MOST_VALUES or not _is_shared(flat):
            continue
        mean_owners = len(flat) / distinct
        reason = f"{name!r} has {distinct:,} values, each of {mean_owners:,.0f} {side}s on average"
        entry = {"column": name} if side == "item" else {"side": side, "column": name}
        choices.append(Choice("graph.attributes", entry, reason))
    return choices[:_MOST_ATTRIBUTES]


def _is_shared(values: pl.Series) -> bool:
    """Whether a value belongs to several owners on average, and so links them."""
    known = values.drop_nulls()
    return 0 < _SHARED * known.n_unique() <= len(known)


def _relation(side: str, file: Path, id_col: str, other: str) -> Choice:
    """A table of pairs: of two users, of two items, or of an item and a value."""
    words = set(words_of(other))
    links = _USER_LINKS if side == "user" else _ITEM_LINKS
    if words & links:
        end, what = side, f"links {side}s with one another"
    else:
        end = "_".join(word for word in words_of(other) if word not in ("id", "ids")) or other
        what = f"says which {other!r} each {side} has"
    name = re.sub(r"[^a-z0-9_]+", "_", file.name.split(".")[0].lower())
    entry = {
        "name": name,
        "file": str(file),
        "between": [side, end],
        "columns": [id_col, other],
    }
    return Choice("graph.relations", entry, f"{file.name} {what}; its gate starts closed")
