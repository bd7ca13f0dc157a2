"""What a column of the item or user table says of its owners, one value at a time."""

import polars as pl

OWNER, VALUE = "owner", "value"


def owner_values(column: pl.Series, separator: str | None = None) -> pl.DataFrame:
    """Distinct rows OWNER (place in the column), VALUE (text), in the order of the column.

    Lists, and texts where a separator is given, are taken apart; nulls, NaN and empty text are no
    values.
    """
    owner = pl.arange(len(column), eager=True, dtype=pl.Int64)
    values = pl.DataFrame({OWNER: owner, VALUE: column})
    # Lists first: their elements may be texts that hold several values in turn.
    if isinstance(values[VALUE].dtype, pl.List | pl.Array):
        values = values.explode(VALUE)
    if separator is not None and values[VALUE].dtype in (pl.String, pl.Categorical):
        lists = pl.col(VALUE).cast(pl.String).str.split(separator)
        values = values.with_columns(lists)
        values = values.explode(VALUE)
    # As text, NaN would be a value that all its owners share.
    if values[VALUE].dtype.is_float():
        values = values.with_columns(pl.col(VALUE).fill_nan(None))
    text = pl.col(VALUE).cast(pl.String)
    stripped = values.with_columns(text.str.strip_chars())
    # Nulls go, too: a filter keeps no row whose condition is null.
    present = stripped.filter(pl.col(VALUE) != "")
    return present.unique(maintain_order=True)
