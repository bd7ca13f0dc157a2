"""Who waits for an answer: whether they still do, and what they may spend."""

from dataclasses import dataclass

from starlette.requests import Request

from serving.keys import Key, Keys
from serving.problems import Refused


@dataclass(frozen=True)
class Caller:
    """One request's client. request: None for a caller of this process, who neither leaves nor pays."""

    request: Request | None = None

    async def has_left(self) -> bool:
        """Whether the connection was closed from the other side."""
        return self.request is not None and await self.request.is_disconnected()

    def spend(self, lists: float) -> None:
        """Take what a request costs, in plain lists, off the budget of its key; the first was taken
        when it was let in.

        Raises Refused (429) where the key has spent too much.
        """
        if self.request is None:
            return
        budget: Budget | None = self.request.scope.get("budget")
        if budget is not None and lists > 1:
            budget.take(lists - 1)


@dataclass(frozen=True)
class Budget:
    """What one key may ask for."""

    keys: Keys
    key: Key

    def take(self, lists: float) -> None:
        """Raises Refused (429) where there is not so much left."""
        if wait := self.keys.wait(self.key, lists):
            raise Refused(
                429,
                f"key {self.key.name!r} may ask for {self.key.rate:g} plain lists a second",
                "Ask less often, or for less: long lists, histories and reasons count as several",
                {"Retry-After": str(int(wait) + 1)},
                code="rate_limited",
            )
