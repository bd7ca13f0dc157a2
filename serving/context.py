"""Everything that an application holds for its whole life."""

from dataclasses import dataclass

from serving.batching import Batcher
from serving.event_log import EventLog, Row
from serving.forgotten import Forgotten
from serving.impressions import ImpressionRow
from serving.jobs import Jobs
from serving.keys import Keys
from serving.live_events import LiveEvents
from serving.metrics import Metrics
from serving.others import Others
from serving.service import Service
from serving.settings import Settings
from serving.spans import Spans
from serving.state import Served, State
from serving.trials import Trials


@dataclass(frozen=True)
class Context:
    """writer, shown: take lists of rows and return once they are on disk, telling of each whether it is
    new. log, writer: None where no events are taken; shown: None where no run is served.
    """

    settings: Settings
    keys: Keys | None
    state: State
    service: Service
    live: LiveEvents
    metrics: Metrics
    spans: Spans
    jobs: Jobs
    others: Others
    log: EventLog | None
    writer: Batcher[list[Row], list[bool]] | None
    forgotten: Forgotten
    trials: Trials
    shown: Batcher[list[ImpressionRow], list[bool]] | None

    @property
    def served(self) -> Served:
        return self.state.current
