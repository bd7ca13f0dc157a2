"""What editors and shells complete and check by."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chain import Call
from pipelines.schema import SCHEMA, schema_text

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "pipelines").glob("*.toml"))
WRONG = {
    "an unknown key": '[data]\nuser_colum = "u"\n',
    "an unknown section": "[traim]\nlr = 0.1\n",
    "a choice that there is not": '[split]\nmethod = "by_time"\n',
    "a number out of its limits": "[split]\ntest_share = 1.5\n",
    "a value of another type": '[train]\nepochs = "ten"\n',
    "a table without its key": "[[graph.attributes]]\nside = 'item'\n",
}


def lint(*files: Path) -> subprocess.CompletedProcess[str]:
    taplo = Path(sys.executable).parent / "taplo"
    return subprocess.run(
        [taplo, "lint", *files], cwd=files[0].parent, capture_output=True, text=True, check=False
    )


def test_the_published_schema_is_made_from_the_code() -> None:
    written = (ROOT / "pipelines" / SCHEMA).read_text(encoding="utf-8")
    assert written == schema_text(), f"run: recsys schema --out pipelines/{SCHEMA}"


def test_taplo_accepts_every_shipped_configuration() -> None:
    assert len(SHIPPED) > 10
    for path in SHIPPED:
        assert path.read_text(encoding="utf-8").startswith(f"#:schema {SCHEMA}\n"), path.name
    linted = lint(*SHIPPED)
    assert linted.returncode == 0, linted.stderr


@pytest.mark.parametrize("wrong", WRONG)
def test_taplo_names_what_is_wrong(wrong: str, tmp_path: Path) -> None:
    (tmp_path / SCHEMA).write_text(schema_text(), encoding="utf-8")
    path = tmp_path / "run.toml"
    path.write_text(f"#:schema {SCHEMA}\n{WRONG[wrong]}", encoding="utf-8")
    linted = lint(path)
    assert linted.returncode == 1 and "run.toml:" in linted.stderr


def test_the_command_prints_the_schema(call: Call) -> None:
    assert call("schema").out == schema_text()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("recsys ini", "init"), ("recsys data ", "check"), ("recsys recommend --exp", "--explain")],
)
def test_bash_completes_commands_and_flags(typed: str, offered: str) -> None:
    program = "import sys; sys.argv[0] = 'recsys'; from pipelines.cli import main; main()"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_RECSYS_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert offered in found.stdout.split()
