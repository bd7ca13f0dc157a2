"""Run the commands of docs/tutorial.md and write their output into it: `python docs/make_tutorial.py`."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)

CONFIGURATION = """[data]
log = "shop/orders.csv"
items = "shop/products.csv"
user_col = "customer"
item_col = "sku"
time_col = "ordered_at"

[[graph.attributes]]
column = "shelf"
"""


def page(text: str, folder: Path) -> str:
    """The page with the output of its commands, run one after the other in `folder`."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "shop.toml").write_text(CONFIGURATION, encoding="utf-8")

    def with_output(block: re.Match[str]) -> str:
        lines = []
        for command in commands(block[1]):
            lines.append(f"$ {command}")
            lines.extend(output(command, folder))
        return "\n".join(["```console", *lines, "```"])

    return CONSOLE.sub(with_output, text)


def commands(block: str) -> list[str]:
    """The lines of a block that were typed."""
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def output(command: str, folder: Path) -> list[str]:
    """The lines that a command prints, without blanks at their ends."""
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "110",
        "NO_COLOR": "1",
    }
    finished = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise RuntimeError(f"{command} failed: {finished.stdout}{finished.stderr}")
    lines = [line.rstrip() for line in finished.stdout.splitlines()]
    return [line for line in lines if line]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        text = page(PAGE.read_text(encoding="utf-8"), Path(scratch))
    PAGE.write_text(text, encoding="utf-8")
