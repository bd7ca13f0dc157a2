"""Everything that an application holds for its whole life."""

from dataclasses import dataclass

from serving.audit import Audit
from serving.batching import Batcher
from serving.events import LiveEvents, Row
from serving.keys import Keys
from serving.metrics import Metrics
from serving.others import Others
from serving.service import Service
from serving.settings import Settings
from serving.state import Served, State


@dataclass(frozen=True)
class Context:
    """writer: takes lists of rows and returns once they are on disk; None where no events are
    taken.
    """

    settings: Settings
    keys: Keys | None
    state: State
    service: Service
    live: LiveEvents
    metrics: Metrics
    audit: Audit
    others: Others
    writer: Batcher[list[Row], None] | None

    @property
    def served(self) -> Served:
        return self.state.current
