"""Following a run folder in object storage: its copy on this machine becomes what the store says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from recsys.core.errors import RecsysError
from serving.logs import LOG
from serving.settings import Settings


@contextmanager
def following(settings: Settings) -> Iterator[None]:
    """Bring what goes live at the settings' URL until the block ends; nothing where there is no URL.

    While the store cannot be reached, or holds what is damaged, the bundle before goes on answering.
    """
    if settings.url is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(settings, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(settings: Settings, over: threading.Event) -> None:
    from recsys.releases.remote import RemoteRun

    run = RemoteRun(str(settings.url), "served")
    told = ""
    while not over.wait(settings.remote_poll_seconds):
        try:
            run.follow()
        except RecsysError as error:
            # The same trouble is told once, not every ten seconds.
            if str(error) != told:
                LOG.error("kept the bundle that answers: %s", error)
            told = str(error)
            continue
        if told:
            LOG.warning("%s answers again", settings.url)
        told = ""
