"""Processes that train one model together."""

from typing import Literal

from pydantic import Field

from recsys.core.config.section import Section


class GroupConfig(Section):
    """Processes that train one model together. Nothing here changes what is learned, but for
    rounding.
    """

    workers: int = Field(1, ge=1)
    """Processes that share every step of a training. They take the steps that one would take."""
    launcher: Literal["local", "ray"] = "local"
    """Who starts them: torch on this machine, or Ray Train on a cluster that shares the run folder
    (`recsys[cluster]`).
    """
    restarts: int = Field(3, ge=0)
    """How often the group goes on from the last checkpoint after one of its processes died."""
    timeout_seconds: float = Field(600.0, gt=0)
    """A process that waits this long for another gives up, and the group is started again. Above
    what the slowest takes between two steps, its validation or checkpoint included.
    """
