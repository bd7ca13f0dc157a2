"""The examples for orchestrators: what becomes of exit codes, and each run by its own command."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples" / "orchestrators"
CONFIG = """
[data]
log = "log.csv"
user_col = "user"
item_col = "item"
time_col = "ts"
[train]
epochs = 1
[evaluate]
baselines = ["popularity"]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, a small log, and `recsys` as these examples find it."""
    lines = ["user,item,ts"]
    for place in range(960):
        user, item = place % 80, (7 * place) % 12
        lines.append(f"u{user},i{10 * (user % 4) + item},{1_600_000_000 + 997 * place}")
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "shop.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS", str(Path(sys.executable).with_name("recsys")))
    monkeypatch.setenv("RECSYS_CONFIG", str(tmp_path / "shop.toml"))
    monkeypatch.setenv("RECSYS_RUN", str(tmp_path / "run"))
    return tmp_path


@pytest.fixture
def nightly(here: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / "nightly.py")))


def test_what_a_retry_may_mend_and_what_none_can(nightly: SimpleNamespace, here: Path) -> None:
    (here / "log.csv").unlink()
    with pytest.raises(nightly.TryAgain, match=r"log\.csv"):
        nightly.run_recsys("shop.toml", "run")
    (here / "shop.toml").write_text("[train]\nepoch = 1\n", encoding="utf-8")
    with pytest.raises(nightly.Broken, match="epoch"):
        nightly.run_recsys("shop.toml", "run")


@pytest.mark.parametrize(
    ("exit_code", "is_live"), [(0, True), (4, False)], ids=["live", "held back"]
)
def test_a_finished_run_is_live_or_held_back(
    nightly: SimpleNamespace, here: Path, exit_code: int, is_live: bool
) -> None:
    """A program in place of `recsys`, which seldom finds a bundle worse."""
    program = here / "recsys"
    program.write_text(
        f'#!{sys.executable}\nimport sys\nprint(\'{{"bundle": "b"}}\')\n'
        f"print('what happened', file=sys.stderr)\nsys.exit({exit_code})\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    nightly.run_recsys.__globals__["RECSYS"] = str(program)
    night = nightly.run_recsys("shop.toml", "run")
    assert night == nightly.Night(is_live, {"bundle": "b"}, "what happened")


def has(command: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which(command) is None, reason=f"the command {command} is not installed"
    )


@pytest.mark.slow
@has("dagster")
def test_the_asset_of_dagster(here: Path) -> None:
    command = ["dagster", "asset", "materialize", "--select", "bundle", "-f", "dagster_job.py"]
    said = ran(command, DAGSTER_HOME=str(here))
    assert "Asset check 'is_live' on 'bundle' passed" in said and "RUN_SUCCESS" in said


@pytest.mark.slow
@has("prefect")
def test_the_flow_of_prefect(here: Path) -> None:
    python = Path(str(shutil.which("prefect"))).with_name("python")
    command = [str(python), "prefect_flow.py", str(here / "shop.toml"), str(here / "run")]
    patience = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "900"}
    assert "\nlive\n" in ran(command, PREFECT_HOME=str(here / "prefect"), **patience)


@pytest.mark.slow
@has("airflow")
def test_the_dag_of_airflow(here: Path) -> None:
    shutil.copytree(EXAMPLES, here / "dags")
    own = {"AIRFLOW_HOME": str(here), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        ran(["airflow", *command], **own)
    said = ran(["airflow", "dags", "test", "nightly"], **own)
    assert f"{here / 'run'} answers with the bundle of tonight" in said


def ran(command: list[str], **environment: str) -> str:
    """All that a command says; it ends well."""
    # The orchestrator has packages of its own.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=EXAMPLES,
        env={**own, **environment, "DO_NOT_TRACK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
