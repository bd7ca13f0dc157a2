"""Events as they are sent, in the columns of the file of live events."""

import time

from serving.bodies.live import NewEvent
from serving.event_log import Row
from serving.state import Served


def row_of(served: Served, event: NewEvent) -> Row:
    """The row of a checked event, with the columns that the log of the run has."""
    moment = time.time() if event.time is None else event.time
    row: Row = {"user_id": event.user, "item_id": event.item, "timestamp": int(moment)}
    if served.has_behaviors:
        row["behavior"] = event.behavior or served.bundle.target
    if served.bundle.encoder.use_weights:
        row["weight"] = event.weight
    if event.id is not None:
        row["event_id"] = event.id
    if event.answer is not None:
        row["answer"] = event.answer
    return row
