"""The attributes of items as columns that the second stage reads."""

from collections.abc import Mapping, Sequence

from recsys.bundle.attributes import ItemAttributes
from recsys.second_stage.columns import Column, category_numbers, codes_of, common_values


def readable_columns(attributes: ItemAttributes) -> dict[str, list[str]]:
    """By column its common values, which are categories, by their numbers; none for one of numbers
    alone. A column of texts without common values is left out.
    """
    columns: dict[str, list[str]] = {}
    for name in sorted([*attributes.row_of, *attributes.fractions]):
        if attributes.has_numbers_alone(name):
            columns[name] = []
            continue
        categories = common_values(attributes.values_under(name), list(attributes.row_of[name]))
        if categories:
            columns[name] = categories
    return columns


def item_columns(
    attributes: ItemAttributes, columns: Mapping[str, Sequence[str]]
) -> dict[str, Column]:
    """Columns as trees read them, as far as the items have them; argument as `readable_columns` gives
    it, of these items or of others.
    """
    tree_columns = {}
    for name, categories in columns.items():
        if categories and name in attributes.row_of:
            values = attributes.values_under(name)
            codes = codes_of(list(attributes.row_of[name]), categories)
            tree_columns[name] = Column(category_numbers(values, codes), values)
        # Without categories it was fitted as numbers, which other items may have as fractions.
        elif not categories and (name in attributes.row_of or name in attributes.fractions):
            tree_columns[name] = Column(attributes.numbers_of(name))
    return tree_columns
