"""A run by buckets leaves what a run in one process leaves, stage by stage, and goes on where it was
killed.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chain import Call, Heard, Settings
from object_stores import server, url  # noqa: F401
from pipelines.run import run
from pipelines.runner import Where
from pipelines.where import somewhere
from recsys.core.artefacts import content_sha256, read_json
from recsys.core.config import RunConfig
from recsys.core.runners import LocalRunner
from recsys.evaluate.document import Report
from recsys.storage.store import Store

BUCKETS = 3


def outputs(out: Path) -> dict[str, Any]:
    """Content hashes by stage; the report without what clocks measured."""
    hashes = {}
    for name, entry in read_json(out / "manifest.json")["stages"].items():
        # The cards of an index and the report hold what a clock measured.
        if name not in ("report", "bundle", "index-final", "index-serve"):
            hashes[name] = entry["outputs"]
    report = Report.load(out / "report/report.json")
    hashes["figures"] = [row.model_dump(exclude={"seconds"}) for row in report.models]
    hashes["comparisons"] = [row.model_dump() for row in report.comparisons]
    hashes["bundle"] = content_sha256(out / "bundle/search_vectors.npy")
    return hashes


@pytest.fixture(scope="module")
def config(settings: Settings, world: Path) -> RunConfig:
    return settings(world, "split.method=global_time")


@pytest.fixture(scope="module")
def undisturbed(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(config, out, where=Where(buckets=BUCKETS))
    return outputs(out)


def test_a_run_by_buckets_is_the_run_of_one_process(
    config: RunConfig, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    heard = Heard()
    run(config, tmp_path / "run", heard, where=Where(LocalRunner(), BUCKETS, lasts=True))
    assert outputs(tmp_path / "run") == undisturbed
    assert any(line.startswith("  place: 3 buckets") for line in heard.lines)
    resume = tmp_path / "run/checkpoint/resume"
    assert not resume.exists() or not list(resume.iterdir())


def test_files_of_buckets_may_lie_in_object_storage(
    config: RunConfig,
    undisturbed: dict[str, Any],
    tmp_path: Path,
    url: str,  # noqa: F811
) -> None:
    heard = Heard()
    with somewhere("local", buckets=BUCKETS, steps=url) as where:
        run(config, tmp_path / "run", heard, where=where)
    assert outputs(tmp_path / "run") == undisturbed
    assert any(line.startswith("  place: 3 buckets") for line in heard.lines)
    assert Store(url).entries() == []


_LEADER = """
import sys, json
from pathlib import Path
from pipelines.console import JsonLines
from pipelines.run import run
from pipelines.runner import Where
from recsys.core.config import build_config
from recsys.core.runners import LocalRunner
config = build_config(json.loads(sys.argv[1]))
run(config, Path(sys.argv[2]), JsonLines(), until="split", where=Where(LocalRunner(), 3, lasts=True))
"""


@pytest.mark.parametrize("after", ["exchange", "clean", "place"])
def test_a_leader_that_was_killed_goes_on_behind_what_is_done(
    config: RunConfig, undisturbed: dict[str, Any], tmp_path: Path, after: str
) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-c", _LEADER, config.model_dump_json(), str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if f'"step": "{after}"' in line:
            process.kill()
            break
    process.wait()
    process.stderr.close()
    heard = Heard()
    run(config, out, heard, until="split", where=Where(LocalRunner(), BUCKETS, lasts=True))
    done = [line for line in heard.lines if line.startswith(f"  {after}: 3 buckets, 3 were there")]
    if after == "exchange":  # there are as many as files of the log
        done = [line for line in heard.lines if line == "  exchange: 1 buckets, 1 were there"]
    assert done, heard.text
    stages = read_json(out / "manifest.json")["stages"]
    for stage in ("ingest", "split"):
        assert stages[stage]["outputs"] == undisturbed[stage]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--runner", "spark"], "no such runner"),
        (["--address", "auto"], "--runner ray"),
        (["--workers", "2"], "--runner local"),
        (["--steps", "s3://shop/steps"], "--runner local or ray"),
        (["--runner", "local", "--steps", "steps"], "no URL of object storage"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_flags_that_do_not_fit_are_usage_errors(
    call: Call, world: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    log = str(world / "log.parquet")
    called = call("run", "--log", log, "--out", str(tmp_path / "run"), *flags)
    assert called.code == 2 and message in called.err


def test_without_the_extra_the_error_names_it(
    call: Call, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    log = str(world / "log.parquet")
    called = call("run", "--log", log, "--out", str(tmp_path / "run"), "--runner", "ray")
    assert called.code == 1 and 'pip install "recsys[cluster]"' in called.err


def test_one_process_never_imports_ray(world: Path) -> None:
    code = (
        "import sys, pipelines.cli, pipelines.run, pipelines.where, pipelines.commands.run;"
        "sys.exit('ray' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
