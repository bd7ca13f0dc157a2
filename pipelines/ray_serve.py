"""The service of `recsys serve` as an application of Ray Serve: replicas that Ray places, watches and
starts again.

`serve run pipelines.ray_serve:app run=runs/shop keys=keys.toml replicas=4`, or as `import_path` and
`args` of a Serve configuration. Imported for Ray Serve alone.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from ray import serve
from starlette.types import ASGIApp

from pipelines.commands.serve import settings_of
from recsys.core.addresses import refuse_secrets
from serving import logs
from serving.app import make_app
from serving.keys import Keys
from serving.logs import Form
from serving.page_policy import checked_origins
from serving.prefix import require_prefix
from serving.remote import following

_AT_ONCE = 512
"""Requests under way in a replica: the service answers them together, and Ray's own five would keep
most of them out of its batches."""


class Replicated(BaseModel):
    """What is served, and by how many.

    run: run folder or its URL, or a bundle folder; all nodes reach it.
    keys: file of keys, which all nodes reach. Ray's proxies listen for other hosts, so there is no
        service without.
    replicas: copies of the service; each has the bundle mapped, and its share of every key's rate.
    cpus: cores that Ray sets aside for each.
    events, cors, images, prefix, log, access_log, otel: as the flags of `recsys serve`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    keys: Path
    replicas: int = Field(2, ge=1)
    cpus: float = Field(1.0, gt=0)
    events: Path | None = None
    cors: tuple[str, ...] = ()
    images: Annotated[tuple[str, ...], AfterValidator(checked_origins)] = ()
    prefix: str = ""
    log: Form = "text"
    access_log: bool = False
    otel: bool = False


def app(replicated: Replicated) -> serve.Application:
    """The application, for `serve run` and Serve configurations.

    Raises UsageError for a wrong prefix or origin and for a URL with a secret in it, ConfigError for
    a file of keys that cannot be used. A bundle that is refused fails the replicas, with its message.
    """
    refuse_secrets(replicated.run)
    require_prefix(replicated.prefix)
    Keys(replicated.keys)
    deployment = serve.deployment(
        Replica,
        name="recsys",
        num_replicas=replicated.replicas,
        max_ongoing_requests=_AT_ONCE,
        ray_actor_options={"num_cpus": replicated.cpus},
    )
    return deployment.bind(replicated)


@serve.ingress()
class Replica:
    """The service in one of Ray's processes. Ray's proxy reads requests, and the application guards
    them as it does behind `recsys serve`.
    """

    def __init__(self, replicated: Replicated) -> None:
        self._settings = settings_of(
            replicated.run,
            replicated.events,
            keys=replicated.keys,
            workers=replicated.replicas,
            cors=replicated.cors,
            images=replicated.images,
            prefix=replicated.prefix,
            log=replicated.log,
            access_log=replicated.access_log,
            otel=replicated.otel,
        )
        logs.configure(replicated.log, replicated.access_log)
        self._until_gone = ExitStack()
        self._until_gone.enter_context(following(self._settings))

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Called by Ray Serve, once, behind the constructor."""
        return make_app(self._settings)

    def __del__(self) -> None:
        self._until_gone.close()
