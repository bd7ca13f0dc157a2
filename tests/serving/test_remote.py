"""A service that follows a run folder in object storage."""

from dataclasses import replace
from pathlib import Path

import pytest

from object_stores import ObjectServer, server, url  # noqa: F401
from patience import eventually
from recsys.releases import life_cycle
from recsys.releases.remote import RemoteRun
from recsys.releases.remote_state import STATE
from recsys.storage.store import Store
from servers import ask, running
from serving.remote import following
from serving.settings import Settings
from worlds import make_contents, write_world


def publish(url: str, name: str) -> str:  # noqa: F811
    run = RemoteRun(url, "runs")
    with run.run():
        card = {"name": name, "family": "degree_prior"}
        path = write_world(run.copy.bundles, replace(make_contents(), model_card=card))
        (run.copy.path / "manifest.json").write_text("{}")
        life_cycle.publish(run.copy, path)
        run.push_run()
    return path.name


def test_promote_and_rollback_in_the_store_reach_the_service(
    url: str,  # noqa: F811
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = publish(url, "a")
    folder = RemoteRun(url, "served").follow()
    settings = Settings(
        bundle=folder.bundle,
        run=folder.path,
        url=url,
        poll_seconds=0.05,
        remote_poll_seconds=0.05,
    )
    with following(settings), running(settings) as address:

        def answers(name: str) -> None:
            body = {"requests": [{"user": "u00"}]}
            eventually(
                lambda: ask(f"{address}/v1/recommend", body)[1].get("model_version") == name,
                f"bundle {name} never answered",
            )

        answers(first)
        second = publish(url, "b")
        answers(second)
        with RemoteRun(url, "runs").changed() as copy:
            life_cycle.rollback(copy)
        answers(first)
        # A state that nobody can read leaves the old bundle answering, and is told once.
        document = Store(url).read(STATE)
        Store(url).write(STATE, b"{", document)
        eventually(lambda: "is damaged" in caplog.text, "the damage was never told")
        answers(first)
        Store(url).write(STATE, document.content, Store(url).read(STATE))
        eventually(lambda: "answers again" in caplog.text, "the store never came back")
        assert caplog.text.count("is damaged") == 1
