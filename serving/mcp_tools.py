"""What an agent can ask of a bundle: each tool is a route of the service, with its checks and limits."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from serving.bodies.admin import PromoteBody
from serving.bodies.catalogue import SimilarBody
from serving.bodies.fields import Body
from serving.bodies.lists import ExplainBody, OtherBody, RecommendBody
from serving.bodies.live import EventsBody
from serving.in_process import InProcess, Reply
from serving.keys import Scope

Answer = Callable[[InProcess, dict[str, Any]], Awaitable[Reply]]
_OK = 200


class ReportBody(Body):
    """whole: the report with every interval, slice and setting, which is long."""

    whole: bool = False


@dataclass(frozen=True)
class Tool:
    """A tool.

    name, description: as an agent reads them.
    body: what it takes.
    answer: from arguments to what the service says.
    scope: a key without it is not offered the tool; None: whoever may read is.
    """

    name: str
    description: str
    body: type[BaseModel]
    answer: Answer
    scope: Scope | None = None

    @property
    def reads_only(self) -> bool:
        """Whether it changes nothing."""
        return self.scope is None


def offered(scopes: Sequence[Scope]) -> dict[str, Tool]:
    """The tools that a key with these scopes is offered, by name. Without a key: those that read."""
    return {tool.name: tool for tool in TOOLS if tool.scope is None or tool.scope in scopes}


def _posts_to(path: str) -> Answer:
    async def answer(service: InProcess, arguments: dict[str, Any]) -> Reply:
        return await service.post(path, arguments)

    return answer


async def _compared(service: InProcess, arguments: dict[str, Any]) -> Reply:
    """The live bundle's lists beside those of another one, and how many items each pair shares."""
    other_reply = await service.post("/v1/admin/recommend", arguments)
    if other_reply.status != _OK:
        return other_reply
    live_arguments = {name: value for name, value in arguments.items() if name != "bundle"}
    live = await service.post("/v1/recommend", live_arguments)
    if live.status != _OK:
        return live
    pairs = zip(live.document["answers"], other_reply.document["answers"], strict=True)
    shared = [len(_ids(first) & _ids(second)) for first, second in pairs]
    return Reply(
        _OK, {"live": live.document, "other": other_reply.document, "shared_items": shared}
    )


def _ids(answer: dict[str, Any]) -> set[str]:
    return {item["id"] for item in answer["items"]}


async def _reported(service: InProcess, arguments: dict[str, Any]) -> Reply:
    """The report of the live bundle, in short unless all of it is asked for, and the other bundles."""
    reply = await service.get("/v1/report")
    if reply.status != _OK or arguments.get("whole"):
        return reply
    report = reply.document
    models = [_model(model, report["deciding"]) for model in report.get("models", [])]
    short = {key: report[key] for key in _SHORT if key in report}
    bundles = await service.get("/v1/admin/bundles")
    if bundles.status == _OK:
        short["bundles"] = bundles.document["bundles"]
    return Reply(_OK, {**short, "models": models})


_SHORT = ("headline", "deciding", "facts", "verdict", "worst_slice", "warnings", "model_version")


def _model(model: dict[str, Any], metric: str) -> dict[str, Any]:
    """A model's deciding figure with its interval; None of one that was skipped."""
    figure = None if model.get("skipped") else model["metrics"][metric]
    return {"title": model["title"], "role": model.get("role"), metric: figure}


TOOLS = (
    Tool(
        "recommend",
        "Ranked lists of items for users of the log, or for visitors by what they did. Each request "
        "names a user, a history, attributes or friends; the options hold for all. With explain, "
        "every item has its reasons.",
        RecommendBody,
        _posts_to("/v1/recommend"),
    ),
    Tool("similar", "Items like one item.", SimilarBody, _posts_to("/v1/similar")),
    Tool(
        "explain",
        "Why an item has its score for a user or a visitor: the score as a sum of shares, and in words.",
        ExplainBody,
        _posts_to("/v1/explain"),
    ),
    Tool(
        "compare",
        "The lists of the live bundle beside those of another bundle of the run; report names the "
        "bundles there are.",
        OtherBody,
        _compared,
    ),
    Tool(
        "report",
        "How good the recommendations are: the data, the model against tuned baselines on a held-out "
        "test with intervals, warnings, and the bundles of the run.",
        ReportBody,
        _reported,
    ),
    Tool(
        "send_events",
        "Record that users did something just now; the next lists take it into account.",
        EventsBody,
        _posts_to("/v1/events"),
        scope="events",
    ),
    Tool(
        "promote",
        "Make another bundle of the run the live one.",
        PromoteBody,
        _posts_to("/v1/admin/promote"),
        scope="admin",
    ),
)
