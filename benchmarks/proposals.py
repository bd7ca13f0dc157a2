"""What `recsys init` proposes for logs whose columns are known: right, asked about, or wrong.

python -m benchmarks proposals --data FOLDER [--cases FOLDER]

FOLDER holds <dataset>/*.parquet. What is right stands in proposals.toml; the table is written into
docs/init.md.
"""

import argparse
import re
import tomllib
from pathlib import Path
from typing import Any

from benchmarks.record import record
from recsys.logs.proposal import Proposal, propose

_RIGHT = Path(__file__).parent / "proposals.toml"
_PAGE = Path(__file__).parents[1] / "docs" / "init.md"
_KEYS = (
    "user_col",
    "item_col",
    "time_col",
    "time_unit",
    "rating_col",
    "behavior_col",
    "target",
    "split",
)
_TABLE = re.compile(r"(?<=<!-- made: proposals -->\n).*?(?=<!-- end -->)", flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of public logs")
    parser.add_argument("--cases", type=Path, help="folder of odd files")
    arguments = parser.parse_args()
    folders = {"data": arguments.data, "cases": arguments.cases}
    figures = {}
    for entry in tomllib.loads(_RIGHT.read_text(encoding="utf-8"))["logs"]:
        folder = folders[entry.pop("in")]
        if folder is not None:
            file = entry.pop("file")
            figures[file] = judged(propose(str(folder / file), {}), entry)
    record("proposals", figures, "public logs and odd files")
    page = _PAGE.read_text(encoding="utf-8")
    _PAGE.write_text(_TABLE.sub(lambda _: table(figures), page), encoding="utf-8")


def judged(proposal: Proposal, right: dict[str, Any]) -> dict[str, Any]:
    """By key what was proposed and whether that is right, asked about or wrong."""
    proposed = {}
    for choice in proposal.choices:
        key = {"split.method": "split"}.get(choice.key, choice.key.partition(".")[2])
        proposed[key] = (choice.value, choice.is_sure)
    verdicts = {}
    for key in _KEYS:
        value, is_sure = proposed.get(key, (None, True))
        wanted = right.get(key)
        is_right = (value or None) == (wanted or None)
        verdict = "right" if is_right else "wrong"
        verdicts[key] = {"value": value, "verdict": verdict if is_sure else "asked"}
    return {"keys": verdicts, "questions": [choice.key for choice in proposal.questions]}


def table(figures: dict[str, Any]) -> str:
    """Rows of the page: by log its values, those that were asked about in italics."""
    lines = [f"| log | {' | '.join(_KEYS)} | asked about |", "|---" * (len(_KEYS) + 2) + "|"]
    for file, found in figures.items():
        cells = [_cell(found["keys"][key]) for key in _KEYS]
        asked = ", ".join(f"`{key}`" for key in found["questions"]) or "–"
        lines.append(f"| {file} | {' | '.join(cells)} | {asked} |")
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, Any]) -> str:
    value = "–" if found["value"] in (None, "") else f"`{found['value']}`"
    if found["verdict"] == "wrong":
        return f"{value} **wrong**"
    return f"{value} ?" if found["verdict"] == "asked" else value


if __name__ == "__main__":
    main()
