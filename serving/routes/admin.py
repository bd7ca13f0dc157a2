"""Which bundle answers."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from recsys.core.errors import RecsysError
from serving.context import Context
from serving.documents import Switched
from serving.problems import Refused
from serving.routes.wire import Here, document

router = APIRouter(prefix="/v1/admin", tags=["admin"])


@router.post("/reload", response_model=Switched)
async def reload(here: Here, request: Request) -> Response:
    """Load what the run's link names now; a bundle that fails verification is refused (409), the old one goes on."""
    return document(await run_in_threadpool(_switch, here, request.scope["key"], "reload", lambda: None))


def _switch(here: Context, key: str, action: str, change: Callable[[], object]) -> Switched:
    """Do it, load what is named now, and keep a record. Raises Refused (409) when either is refused."""
    before = here.served.version
    try:
        change()
        served = here.state.reload()
    except RecsysError as error:
        here.audit.write(key, action, f"refused: {error}")
        raise Refused(409, error.message, error.remedy) from error
    here.audit.write(key, action, served.version)
    return {"model_version": served.version, "before": before}
