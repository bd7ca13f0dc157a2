"""Rows of a configured relation: edges whose users and items are codes of the log, and whose other
ends are text.
"""

from dataclasses import dataclass, field

import polars as pl

from recsys.core.tables import Drops


@dataclass(frozen=True)
class EdgeRows:
    """Edges of one relation, each pair once.

    ends: node types of source and destination. rows: SOURCE and DESTINATION (Int32 codes where the
    node type is "user" or "item", else String), with WEIGHT (Float32, > 0) and TIME (Int64, unix
    seconds) where the relation has them. directed: false links both ways between nodes of one type.
    rows_read: of the file. drops: rows left out, by reason.
    """

    name: str
    ends: tuple[str, str]
    rows: pl.DataFrame
    directed: bool = True
    half_life_days: float | None = None
    rows_read: int = 0
    drops: Drops = field(default_factory=Drops)
