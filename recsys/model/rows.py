"""Where the rows of layer-0 tables lie."""

from jaxtyping import Float, Int
from torch import Tensor


class Rows:
    """Tables that lie here as a whole; a training of several processes may divide them."""

    def some(
        self, table: Float[Tensor, "held width"], ids: Int[Tensor, " nodes"]
    ) -> Float[Tensor, "nodes width"]:
        """Rows of some nodes. table: what of the table lies here."""
        return table.index_select(0, ids)

    def every(self, table: Float[Tensor, "held width"], count: int) -> Float[Tensor, "count width"]:
        """Rows of all `count` nodes: the table itself, no copy."""
        return table

    def held(self, ids: Int[Tensor, " nodes"]) -> Int[Tensor, " held"]:
        """Where the rows lie of those nodes that have theirs here."""
        return ids
