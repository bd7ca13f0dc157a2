"""Messages of a stream as live events: the same checks as those of POST /v1/events, by the names that
the sender has for the fields. A message that is none is counted, named and passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from recsys.core.errors import RecsysError
from recsys.core.progress import Progress
from recsys.lookup.histories import behavior_refusal
from serving.bodies.live import NewEvent
from serving.event_log import EventLog, Row
from serving.forgotten import Forgotten
from serving.live_events import LiveEvents
from serving.new_events import row_of
from serving.settings import Settings
from serving.state import Served, load

LARGEST_BYTES = 1 << 20
"""Of a message; a larger one is none of an event."""
MOST_NAMED = 20
"""Messages that are named as wrong, one a line; of the others only the number is told."""

_MILLISECONDS = 1e11  # from here on; as seconds the year 5138
_CUT = 100

FIELDS: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "user_id"),
    "item": ("item", "item_id"),
    "time": ("time", "timestamp"),
    "behavior": ("behavior",),
    "weight": ("weight",),
    "id": ("id", "event_id"),
}
"""Of each field of an event the keys that it is looked for under, in order."""


class Message(NamedTuple):
    """place: where it stands in the stream, and its id where it has none of its own. text: JSON. moment:
    unix seconds when it was sent, None where that is not known.
    """

    place: str
    text: bytes | None
    moment: float | None


@dataclass
class Counts:
    """What became of messages. repeated: their ids are in the file. forgotten: of people whom the run
    was told to forget. wrong: no events.
    """

    written: int = 0
    repeated: int = 0
    forgotten: int = 0
    wrong: int = 0

    @property
    def all(self) -> int:
        return self.written + self.repeated + self.forgotten + self.wrong


class WrongMessage(Exception):
    """Why a message is no event."""


@dataclass
class Taker:
    """Writes messages into the file of live events of a service.

    fields: of each field of an event the keys that it is looked for under.
    """

    settings: Settings
    fields: Mapping[str, Sequence[str]]
    progress: Progress
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        """Raises DataError for a bundle that is damaged."""
        path = Path(str(self.settings.events))
        live = LiveEvents(path, self.settings.live_days)
        live.refresh()
        self._log = EventLog(path, live.known)
        self._forgotten = Forgotten(self.settings.run)
        self._tried = self.settings.bundle.resolve()
        self._served = load(self.settings.bundle)

    def take(self, messages: Sequence[Message]) -> None:
        """On disk when this returns. Raises MachineError when the disk refuses: then none of them is."""
        served = self._follow()
        self._forgotten.follow()
        rows = list(self._rows(served, messages))
        is_new = self._log.append(rows)
        self.counts.written += sum(is_new)
        self.counts.repeated += len(is_new) - sum(is_new)

    def _follow(self) -> Served:
        """The bundle that is live; the one before where that is refused, as in a service."""
        named = self.settings.bundle.resolve()
        if named != self._tried:
            self._tried = named
            try:
                self._served = load(self.settings.bundle)
            except RecsysError as error:
                self.progress.say(f"warning: kept bundle {self._served.version}: {error}")
        return self._served

    def _rows(self, served: Served, messages: Sequence[Message]) -> Iterator[Row]:
        for message in messages:
            try:
                event = self._event(served, message)
            except WrongMessage as error:
                self._pass_over(message, str(error))
                continue
            if self._forgotten.holds(event.user):
                self.counts.forgotten += 1
                continue
            yield row_of(served, event)

    def _event(self, served: Served, message: Message) -> NewEvent:
        """Raises WrongMessage for what is no event."""
        document = _document(message.text)
        values = {}
        for name, keys in self.fields.items():
            for key in keys:
                if document.get(key) is not None:
                    values[name] = document[key]
                    break
        values["time"] = _seconds(values["time"]) if "time" in values else message.moment
        values["id"] = str(values.get("id", message.place))
        try:
            event = NewEvent.model_validate(values)
        except ValidationError as error:
            raise WrongMessage(self._meaning(error)) from None
        refusal = behavior_refusal(served.bundle, event.behavior)
        if refusal is not None:
            raise WrongMessage(str(refusal))
        return event

    def _meaning(self, error: ValidationError) -> str:
        """What is wrong, by the sender's name of the field."""
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "missing":
            return f"it has no {' or '.join(map(repr, self.fields[name]))}"
        return f"{name}: {first['msg']}"

    def _pass_over(self, message: Message, why: str) -> None:
        self.counts.wrong += 1
        if self.counts.wrong <= MOST_NAMED:
            self.progress.say(f"passed over {message.place}: {why}", place=message.place, why=why)
        if self.counts.wrong == MOST_NAMED:
            self.progress.say("further ones that are no events are counted only")


def _document(text: bytes | None) -> dict[str, Any]:
    if text is None:
        raise WrongMessage("it is empty")
    if len(text) > LARGEST_BYTES:
        raise WrongMessage(f"it has {len(text):,} bytes, and an event at most {LARGEST_BYTES:,}")
    try:
        document = orjson.loads(text)
    except ValueError:
        raise WrongMessage(f"it is no JSON: {text[:_CUT]!r}") from None
    if not isinstance(document, dict):
        raise WrongMessage(f"it is no JSON object: {text[:_CUT]!r}")
    return document


def _seconds(value: object) -> float:
    """Unix seconds of a number of seconds or finer units, or of ISO text (naive means UTC)."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        try:
            seconds = float(value)
        except ValueError:
            moment = datetime.fromisoformat(str(value))
            return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        except OverflowError:
            raise ValueError from None
    except ValueError:
        raise WrongMessage(f"its time {str(value)[:_CUT]!r} is none that can be read") from None
    while _MILLISECONDS <= seconds < float("inf"):
        seconds /= 1000
    return seconds
