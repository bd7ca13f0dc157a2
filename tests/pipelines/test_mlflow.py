"""A real MLflow server on loopback: a run, its artefacts, and `mlflow models serve` answering a list."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chain import Settings
from patience import PATIENCE_SECONDS, eventually
from pipelines.run import run
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder, read_json
from recsys.lookup.lookup import Lookup

mlflow = pytest.importorskip("mlflow")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # MLflow's own, of pandas and pydantic
]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=30).close()
    except OSError:
        return False
    return True


@contextmanager
def mlflow_command(*arguments: str, ready: str, folder: Path) -> Iterator[None]:
    """`mlflow …` until the block ends, from the time that `ready` answers."""
    environment = {**os.environ, "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false"}
    # `mlflow models serve` starts the uvicorn that it finds first.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / f"{arguments[0]}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:

            def is_ready() -> bool:
                assert process.poll() is None, Path(log.name).read_text()
                return answers(ready)

            eventually(is_ready, f"mlflow {arguments[0]} never answers")
            yield
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    store = ("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}")
    place = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    artifacts = ("--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts")
    url = f"http://127.0.0.1:{port}"
    with mlflow_command("server", *store, *place, *artifacts, ready=f"{url}/health", folder=folder):
        yield url


def copy_of(finished: RunFolder, folder: Path) -> RunFolder:
    shutil.copytree(finished.path, folder, symlinks=True)
    return RunFolder(folder)


@pytest.fixture(scope="module")
def logged(
    finished: RunFolder,
    settings: Settings,
    world: Path,
    server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Any, RunFolder]:
    """The run as MLflow has it, and its folder."""
    folder = copy_of(finished, tmp_path_factory.mktemp("runs") / "tiny")
    sets = ("tracking.tracker=mlflow", f"tracking.uri={server}", "tracking.experiment=shop")
    manifest = run(settings(world, *sets), folder.path)
    assert manifest.tracking is not None and manifest.tracking.failed == {}
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name("shop")
    [kept] = client.search_runs([experiment.experiment_id])
    assert kept.info.run_id in str(manifest.tracking.where)
    return kept, folder


def test_parameters_metrics_report_and_bundle(logged: tuple[Any, RunFolder], server: str) -> None:
    kept, folder = logged
    report = read_json(folder.report / "report.json")
    name, k = report["deciding"].split("@")
    [model] = [row for row in report["models"] if row["name"] == "model"]
    value = model["metrics"][report["deciding"]]["value"]
    assert kept.data.metrics[f"model/{name}_at_{k}"] == pytest.approx(value)
    assert kept.data.params["model.width"] == "8"
    assert kept.data.tags["recsys.bundle"] == folder.bundle.resolve().name
    assert kept.info.status == "FINISHED"
    client = mlflow.MlflowClient(server)
    history = client.get_metric_history(kept.info.run_id, "epochs/loss")
    assert [point.step for point in history] == [epoch["epoch"] for epoch in report["history"]]
    files = {Path(file.path).name for file in client.list_artifacts(kept.info.run_id, "report")}
    assert files == {"report.json", "report.html", "README.md", "DATA.md"}


def test_the_flavour_and_models_serve_answer_the_lists_of_the_bundle(
    logged: tuple[Any, RunFolder], server: str, tmp_path: Path
) -> None:
    kept, folder = logged
    lookup = Lookup(Bundle.load(folder.bundle))
    users = lookup.bundle.users.ids.to_list()[:2]
    expected = lookup.recommend(users, 4)
    uri = f"runs:/{kept.info.run_id}/bundle"
    mlflow.set_tracking_uri(server)
    model = mlflow.pyfunc.load_model(uri)
    import pandas as pd

    predicted = model.predict(pd.DataFrame({"user": users}), params={"k": 4})
    assert [row["items"] for row in predicted] == [answer["items"] for answer in expected]
    assert predicted[0]["bundle"] == folder.bundle.resolve().name
    item = lookup.bundle.items.ids[3]
    [visitor] = model.predict(pd.DataFrame({"history": [[item]]}), params={"k": 4})
    [folded] = lookup.recommend(histories=[[item]], k=4)
    assert visitor["items"] == folded["items"]

    local = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "model"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ("-m", local, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port))
    with mlflow_command("models", "serve", *arguments, ready=f"{url}/ping", folder=tmp_path):
        body = {"dataframe_records": [{"user": user} for user in users], "params": {"k": 4}}
        answer = ask(f"{url}/invocations", body)
        assert [row["items"] for row in answer["predictions"]] == [row["items"] for row in expected]
        stranger = ask(f"{url}/invocations", {"dataframe_records": [{"user": "nobody"}]})
        [row] = stranger["predictions"]
        assert (row["source"], len(row["items"])) == ("fallback", 10)


def test_a_server_that_is_gone_costs_a_warning(
    finished: RunFolder,
    settings: Settings,
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = copy_of(finished, tmp_path / "tiny")
    sets = ("tracking.tracker=mlflow", f"tracking.uri=http://127.0.0.1:{free_port()}")
    with pytest.warns(UserWarning, match="mlflow has not got the start of this run"):
        manifest = run(settings(world, *sets), folder.path)
    assert manifest.tracking is not None and list(manifest.tracking.failed) == ["start"]
    assert folder.read_manifest()["status"] == "done"


def ask(url: str, body: Any) -> Any:
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(error.read().decode()) from None
