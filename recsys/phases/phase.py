"""A phase of a run: what is learned from, and the judge of what was learned."""

from functools import cached_property

from recsys.phases.data import PhaseData, PhaseName
from recsys.phases.judge import Judge

__all__ = ["Phase", "PhaseName"]


class Phase(PhaseData):
    """The data of a phase with a judge of the rows that are held out from it.

    What fits something takes `PhaseData`; what chooses or reports takes a `Phase`.
    """

    @cached_property
    def judge(self) -> Judge:
        """Knows what is held out. Its properties raise UsageError for the phase "serve"."""
        return Judge(self)
