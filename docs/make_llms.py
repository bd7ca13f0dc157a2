"""Write llms.txt, the pages of the project with a line each: `python docs/make_llms.py`."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ROW = re.compile(r"^\| ([^|]+) \| \[([^\]]+)\]\(([^)]+)\) \|$", flags=re.MULTILINE)
_HEAD = """# recsys

> Recommendations by graph attention: from an interaction log to an honest evaluation report, an index with proven recall,
> and top-k lists with reasons. A command line (`recsys`), a Python API (`GraphRecommender`), an HTTP service and an MCP
> server. Python 3.11 or later, CPU.

Start: `pip install` the wheel, `recsys init LOG` proposes a configuration, `recsys run recsys.toml` runs it, `recsys recommend
RUN --user ID --json` answers. Exit codes: 0 ok, 1 data or machine, 2 usage, 3 bug, 4 a gate refused, 130 interrupted.
"""


def page() -> str:
    """The text, from the table "Read on" of the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [_HEAD, "## Docs", ""]
    for purpose, name, path in _ROW.findall(readme.partition("## Read on")[2]):
        lines.append(f"- [{name}]({path}): {purpose}")
    more = [
        "- [AGENTS](AGENTS.md): commands, layout and rules for whoever changes the code",
        "- [schema](pipelines/recsys.schema.json): JSON schema of a run configuration",
        "- [examples](examples): programs and a notebook that run",
    ]
    return "\n".join([*lines, "", "## More", "", *more]) + "\n"


if __name__ == "__main__":
    (ROOT / "llms.txt").write_text(page(), encoding="utf-8")
