"""What becomes an edge."""

from typing import Literal

from pydantic import Field

from recsys.core.config.section import Section


class AttributeConfig(Section):
    """One attribute column that becomes nodes and a relation."""

    side: Literal["item", "user"] = "item"
    """Which table the column is in."""
    column: str
    """Column of the item or user table; a list column, or text with `separator`, gives several values a node."""
    separator: str | None = None
    """Splits a text column into several values."""


class NeighbourConfig(Section):
    """Which nodes of one side are linked because they share pairs of the target behaviour; for users read the mirror image."""

    top_n: int = Field(10, ge=1)
    """Most similar items of each item; two are linked when either is among the other's."""
    measure: Literal["cosine", "jaccard", "count"] = "cosine"
    """Similarity, and weight of the edge: c_ij / (√(c_i c_j) + shrinkage) (Salton), c_ij / (c_i + c_j − c_ij + shrinkage),
    or c_ij, the users that both share."""
    shrinkage: float = Field(0.0, ge=0)
    """Holds down similarities that rest on few users; not used by count."""
    min_shared: int = Field(2, ge=1)
    """Users that two items must share. From 2 on no edge exists because of the pair to predict alone."""


class GraphConfig(Section):
    """What becomes an edge and what it weighs."""

    target: str | None = None
    """Behaviour to predict. Required when the log has several; the only one otherwise."""
    behavior_weights: dict[str, float] = Field({})
    """Confidence per behaviour, a factor on edge weights; 1 when absent, 0 leaves the behaviour out."""
    use_weights: bool = False
    """Multiply edge weights by the log's weight column."""
    half_life_days: float | None = Field(None, gt=0)
    """Edge weights halve with this age, counted back from the last row of the phase; needs times."""
    attributes: list[AttributeConfig] = Field([])
    """Columns of the item and user tables that become nodes."""
    item_neighbours: NeighbourConfig | None = None
    """Link items that share users, as an added relation whose gate starts closed; none when absent."""
    user_neighbours: NeighbourConfig | None = None
    """Link users that share items. A visitor has no such links."""
