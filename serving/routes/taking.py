"""Several things that a request sends to be kept, events or impressions: each wrong one fails alone."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from recsys.core.errors import MachineError, UsageError
from serving.batching import Batcher
from serving.bodies.live import Invalid
from serving.context import Context
from serving.documents import RejectedEvent, Seen
from serving.logs import LOG
from serving.problems import Refused

_FIELDS = "See /openapi.json for the fields and their ranges"


class Thing(Protocol):
    """What somebody did, or saw. user: who."""

    user: str


Sent = TypeVar("Sent", bound=Thing)
Row = TypeVar("Row")


def checked(
    things: str,
    sent: Sequence[Sent | Invalid],
    refusal_of: Callable[[Sent], UsageError | None] = lambda thing: None,
) -> tuple[list[Sent], list[RejectedEvent]]:
    """The things that can be, and the others by their places.

    things: what they are called. refusal_of: why one cannot be that is well-formed. Raises UsageError
    where none can.
    """
    valid: list[Sent] = []
    rejected: list[RejectedEvent] = []
    for position, thing in enumerate(sent):
        if isinstance(thing, Invalid):
            refusal: UsageError | None = UsageError(thing.detail, _FIELDS)
        else:
            refusal = refusal_of(thing)
        if refusal is not None:
            rejected.append(_rejected(position, refusal))
        elif not isinstance(thing, Invalid):
            valid.append(thing)
    if not valid:
        first = rejected[0]
        detail = f"{things}.{first['place']}: {first['detail']}"
        raise UsageError(detail, first["remedy"], code=first["code"])
    return valid, rejected


async def keep(
    here: Context,
    things: str,
    valid: Sequence[Sent],
    row_of: Callable[[Sent], Row],
    writer: Batcher[list[Row], list[bool]],
    code: str,
) -> tuple[list[Sent], Seen]:
    """Write things down, but for those of people whom the run was told to forget.

    Args:
        here: The service.
        things: What they are called.
        valid: What is to be written.
        row_of: How one is written.
        writer: Who writes them.
        code: Of a disk that refuses.

    Returns:
        Those that stay, and how many were written, were there already, or were thrown away.

    Raises:
        Refused: (503) The disk refuses.
    """
    here.forgotten.follow()
    remembered = [thing for thing in valid if not here.forgotten.holds(thing.user)]
    try:
        is_new = await writer.ask([row_of(thing) for thing in remembered])
    except MachineError as error:
        LOG.error("%s", error)
        raise Refused(
            503,
            f"the {things} cannot be written",
            "None of them was taken: send them again later",
            code=code,
        ) from None
    seen: Seen = {"accepted": sum(is_new)}
    if sum(is_new) < len(remembered):
        seen["repeated"] = len(remembered) - sum(is_new)
    if len(remembered) < len(valid):
        seen["forgotten"] = len(valid) - len(remembered)
    return remembered, seen


def _rejected(place: int, refusal: UsageError) -> RejectedEvent:
    return {
        "place": place,
        "code": refusal.code,
        "detail": refusal.message,
        "remedy": refusal.remedy,
    }
