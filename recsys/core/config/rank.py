"""Whether trees order the candidates of the model once more."""

from typing import Literal

from pydantic import Field

from recsys.core.config.section import Section


class RankConfig(Section):
    """A second stage: trees by LambdaRank over the best candidates (docs/second-stage.md)."""

    model: Literal["none", "lightgbm"] = "none"
    """lightgbm: fitted on half of the validation users, and used where the other half's lists gain by
    more than noise; needs pip install "recsys[rank]".
    """
    candidates: int = Field(100, ge=10)
    """Best items of the first stage that are ordered."""
    popular: int = Field(20, ge=0)
    """Most popular items that join them."""
    recent: int = Field(20, ge=0)
    """Items most popular of late that join them, where validation lets recent users count more."""
    neighbours: int = Field(20, ge=0)
    """Items that join them for going with what the user had last, by common users."""
    trees: int = Field(200, ge=1)
    """At most; part of the half that is fitted on says when to stop."""
