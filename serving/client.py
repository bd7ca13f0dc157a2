"""A client of the service; needs nothing but the standard library.

service = Client("http://127.0.0.1:8000", key="…")
service.recommend("u42", k=5)["items"][0]["id"]
service.send([{"user": "u42", "item": "i7"}])
"""

import http.client
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, Unpack, cast
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:  # at work the client needs nothing but the standard library
    from recsys.lookup.options import ListKeywords
    from serving.documents import Accepted, Answer, CatalogueItems, Explained, Model, Seen

IDLE_SECONDS = 4.0
"""After which a connection is not used again: shorter than services and proxies keep one that is
silent.
"""


class HistoryEvent(TypedDict):
    """behavior: the target behaviour when absent. time: unix seconds, now when absent."""

    item: str
    behavior: NotRequired[str]
    time: NotRequired[float]
    weight: NotRequired[float]


class NewEvent(HistoryEvent):
    """id: what the sender calls the event; one is made where it is absent. answer: `answer` of the list
    that it was done on, such as a click.
    """

    user: str
    id: NotRequired[str]
    answer: NotRequired[str]


class Query(TypedDict, total=False):
    """Who is asked about: a user, a visitor, or a user with new events.

    attributes: by column of the users, values. friends: known users.
    """

    user: str
    history: Sequence[HistoryEvent]
    attributes: Mapping[str, Sequence[str]]
    friends: Sequence[str]


class ServiceError(Exception):
    """What the service refused. status: of HTTP. remedy: what to do. code: a word for the kind of error
    (docs/serving.md), by which programs tell one from another.
    """

    def __init__(self, status: int, detail: str, remedy: str = "", code: str = "") -> None:
        super().__init__(f"{status}: {detail}. {remedy}".rstrip(". "))
        self.status, self.code = status, code
        self.detail, self.remedy = detail, remedy


class Client:
    """One connection that is kept open; for one thread. address: with the path where the service has a
    prefix. timeout: seconds for any answer.

    Every method raises ServiceError for what the service refuses, and OSError when it cannot be
    reached.
    """

    def __init__(self, address: str, key: str | None = None, timeout: float = 10.0) -> None:
        parts = urlsplit(address)
        self._prefix = parts.path.rstrip("/")
        host = parts.hostname or "127.0.0.1"
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(host, parts.port, timeout=timeout)
        else:
            self._connection = http.client.HTTPConnection(host, parts.port, timeout=timeout)
        self._used = time.monotonic()
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def recommend(self, user: str, k: int = 10, **options: "Unpack[ListKeywords]") -> "Answer":
        """The best items for one user. options: as in `Lookup.recommend`, for example
        deny=["i1"].
        """
        return self.recommend_all([{"user": user}], k, **options)[0]

    def recommend_for(
        self, history: Sequence[HistoryEvent], k: int = 10, **options: "Unpack[ListKeywords]"
    ) -> "Answer":
        """The best items for a visitor with these events."""
        return self.recommend_all([{"history": history}], k, **options)[0]

    def recommend_all(
        self, requests: Sequence[Query], k: int = 10, **options: "Unpack[ListKeywords]"
    ) -> list["Answer"]:
        """Several lists from one bundle, in the order of the requests."""
        document = self._ask("POST", "/v1/recommend", {"requests": requests, "k": k, **options})
        return cast("list[Answer]", document["answers"])

    def similar(self, item: str, k: int = 10) -> "Answer":
        """The items most similar to an item."""
        return cast("Answer", self._ask("POST", "/v1/similar", {"item": item, "k": k}))

    def similar_users(self, user: str, k: int = 10) -> "Answer":
        """The users nearest to a user."""
        return cast("Answer", self._ask("POST", "/v1/similar-users", {"user": user, "k": k}))

    def explain(
        self, user: str, item: str, parts: int = 10, popularity: float = 0.0
    ) -> "Explained":
        """Why an item has its score.

        Args:
            user: Id.
            item: Id.
            parts: How many parts are listed, the largest.
            popularity: The popularity boost of the list that the item stands in.

        Returns:
            The score as a sum of parts, and reasons in words.
        """
        query: Query = {"user": user}
        return self.explain_query(query, item, parts, popularity)

    def explain_query(
        self, query: Query, item: str, parts: int = 10, popularity: float = 0.0
    ) -> "Explained":
        """The same for a visitor, or a user with new events."""
        body = {**query, "item": item, "parts": parts, "popularity": popularity}
        return cast("Explained", self._ask("POST", "/v1/explain", body))

    def items(self, items: Sequence[str]) -> "CatalogueItems":
        """What the bundle knows of some items."""
        return cast("CatalogueItems", self._ask("POST", "/v1/items", {"items": items}))

    def find_items(self, text: str, k: int = 10) -> "CatalogueItems":
        """Items whose id or title holds the text."""
        parameters = urlencode({"text": text, "k": k})
        return cast("CatalogueItems", self._ask("GET", f"/v1/items?{parameters}"))

    def model(self) -> "Model":
        """The bundle that answers."""
        return cast("Model", self._ask("GET", "/v1/model"))

    def send(self, events: Sequence[NewEvent]) -> "Accepted":
        """Events are on the service's disk when this returns. They have ids, so that they are taken
        once though the connection breaks and they are sent again, here or by the caller.
        """
        named: list[NewEvent] = [{"id": uuid.uuid4().hex, **event} for event in events]
        body = {"events": named}
        # Sent again with the ids that they have got: the service takes each once.
        try:
            return cast("Accepted", self._ask("POST", "/v1/events", body))
        except (OSError, http.client.HTTPException):
            return cast("Accepted", self._ask("POST", "/v1/events", body))

    def shown(self, user: str, answer: "Answer", num_places: int | None = None) -> "Seen":
        """What a user was shown of a list is on the service's disk when this returns; sent again, it
        counts once. num_places: as far as they looked; the whole list when None.
        """
        items = []
        for item in answer["items"][:num_places]:
            items.append({"item": item["id"], "place": item["rank"]})
        impression = {"answer": answer["answer"], "user": user, "items": items}
        body = {"impressions": [impression]}
        try:
            return cast("Seen", self._ask("POST", "/v1/impressions", body))
        except (OSError, http.client.HTTPException):
            return cast("Seen", self._ask("POST", "/v1/impressions", body))

    def retract(self, ids: Sequence[str]) -> int:
        """Take events back by the ids that they were sent with; how many there were."""
        document = self._ask("POST", "/v1/events/retract", {"ids": ids})
        return int(document["retracted"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body)
        if time.monotonic() - self._used > IDLE_SECONDS:
            # The service may just be closing it too; the next call opens a new one.
            self._connection.close()
        self._used = time.monotonic()
        try:
            self._connection.request(method, self._prefix + path, data, self._headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if "json" not in answer.headers.get("Content-Type", ""):
            raise ServiceError(
                answer.status, text.decode(errors="replace")[:200], "Is that the service's address?"
            )
        document: dict[str, Any] = json.loads(text)
        if answer.status != http.client.OK:
            raise ServiceError(
                answer.status,
                document["detail"],
                document["remedy"],
                document["code"],
            )
        return document
