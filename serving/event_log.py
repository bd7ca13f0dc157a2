"""Live events on disk: one append-only file of JSON lines that the workers of a host share, in the columns
of a log.

The next answers fold in what was appended (`serving.live_events`), and the next batch run reads the file
as one more log. An event is acknowledged when it is on disk: neither a kill nor a crash loses it.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, NotRequired, TypedDict

from recsys.core.json_lines import remove_lines
from recsys.core.tables import BEHAVIOR, EVENT_ID, ITEM_ID, USER_ID
from serving.row_log import RowLog, read_row


class Row(TypedDict):
    """One line. Columns that the log of the run lacks are left out, so that both can be read as
    one. event_id: what the client calls the event. answer: id of the list that it was done on.
    """

    user_id: str
    item_id: str
    timestamp: int
    behavior: NotRequired[str]
    weight: NotRequired[float]
    event_id: NotRequired[str]
    answer: NotRequired[str]


class Retraction(NamedTuple):
    """Events to be taken back: the one with an id, or all of a user and an item, under a behaviour
    where one is named.
    """

    event_id: str | None = None
    user: str | None = None
    item: str | None = None
    behavior: str | None = None

    def covers(self, row: dict[str, object]) -> bool:
        if self.event_id is not None:
            return row.get(EVENT_ID) == self.event_id
        is_pair = (row.get(USER_ID), row.get(ITEM_ID)) == (self.user, self.item)
        return is_pair and self.behavior in (None, row.get(BEHAVIOR))


class EventLog(RowLog[Row]):
    """Appends events durably; one whose id is in the log already is not written again."""

    things: ClassVar[str] = "events"

    def name_of(self, row: Row) -> str | None:
        return row.get("event_id")

    def retract(self, retractions: Sequence[Retraction]) -> int:
        """Take events out of the log; how many there were. It is written anew: seconds for a large one."""

        def is_gone(line: bytes) -> bool:
            row = read_row(line)
            # A line that cannot be read is nobody's.
            if row is None:
                return False
            return any(retraction.covers(row) for retraction in retractions)

        return remove_lines(self.path, is_gone)
