"""The pages say what the code does."""

import re
import runpy
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from pipelines.cli import app
from recsys.baselines.catalogue import BASELINES
from recsys.core.config import build_config, load_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[str]:
    return re.findall(
        r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def commands(page: Path, program: str) -> list[str]:
    """Command lines of a program in code blocks."""
    lines = [
        part.strip().removeprefix("$ ")
        for block in blocks(page)
        for line in block.splitlines()
        for part in re.split(r"\|\||&&|\| ", line)
    ]
    return [line for line in lines if line.startswith(f"{program} ")]


def mentions(page: Path) -> list[str]:
    """Commands named in the text, often in part."""
    return re.findall(r"`(recsys [a-z][^`]*)`", page.read_text(encoding="utf-8"))


def verb(line: str) -> tuple[Any, list[str]]:
    """The command of a line, and the words after its name."""
    command, words = typer.main.get_command(app), shlex.split(line, comments=True)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return command, words


def test_the_configuration_page_is_made_from_the_code() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_configuration.py"))["page"]
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == page() + "\n", "run: python docs/make_configuration.py"


def test_the_api_page_is_made_from_the_docstrings() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_api.py"))["page"]
    written = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert written == page() + "\n", "run: python docs/make_api.py"


def test_the_drawing_of_imports_is_made_from_the_code() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_architecture.py"))["page"]
    written = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "-->" in written
    assert written == page(written), "run: python docs/make_architecture.py"


def test_the_budget_page_is_made_from_the_forecasts() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_budget.py"))["page"]
    written = (ROOT / "docs" / "budget.md").read_text(encoding="utf-8")
    assert written == page() + "\n", "run: python docs/make_budget.py"


def test_every_baseline_is_on_the_page_of_concepts() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    table = text.partition("The **baselines**")[2].partition("## Serving")[0]
    names = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    assert sorted(names) == sorted([*BASELINES, "lightgcn"])
    compared = build_config({"data": {"log": "x.csv"}}).evaluate.baselines
    assert "first seven rows and\n`lightgcn` are compared" in table
    assert compared == [*names[:7], "lightgcn"]


def test_every_package_is_on_the_architecture_page() -> None:
    written = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = [folder.parent.name for folder in (ROOT / "recsys").glob("*/__init__.py")]
    assert packages
    assert [name for name in packages if f"`recsys/{name}`" not in written] == []


@pytest.mark.slow
def test_the_tutorial_shows_what_its_commands_print(tmp_path: Path) -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_tutorial.py"))["page"]
    written = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    printed = page(written, tmp_path)
    # Seconds differ from run to run, and scores in the last digits from machine to machine.
    assert without_digits(printed) == without_digits(written), "run: python docs/make_tutorial.py"


def without_digits(text: str) -> list[str]:
    """Words of the lines: no digits, and nothing that only draws a table."""
    return [" ".join(re.sub(r"[\d─]+", "", line).split()) for line in text.splitlines()]


@pytest.mark.parametrize("line", [line for page in PAGES for line in commands(page, "recsys")])
def test_every_command_on_the_pages_can_be_parsed(line: str) -> None:
    command, words = verb(line)
    command.make_context(command.name, words)  # runs nothing


@pytest.mark.parametrize("line", [line for page in PAGES for line in mentions(page)])
def test_every_command_named_in_the_text_has_its_flags(line: str) -> None:
    command, words = verb(line)
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert {word.split("=")[0] for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("block", blocks(ROOT / "docs" / "signals.md"))
def test_signals_are_configurations(block: str) -> None:
    build_config(tomllib.loads(block))


@pytest.mark.parametrize(
    "file", sorted((ROOT / "pipelines").glob("*.toml")), ids=lambda file: file.stem
)
def test_run_configurations_can_be_read(file: Path) -> None:
    load_config(file)


def test_the_readme_shows_commands() -> None:
    assert len(commands(PAGES[0], "recsys")) >= 5
    targets = re.findall(
        r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert {line.split()[1] for line in commands(PAGES[0], "make")} <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_links_on_the_pages_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:recsys|pipelines|serving|tests|docs|benchmarks|data)/[\w./-]+)`", text
    )
    new = re.findall(r"A new file `([^`]+)`", text)  # made by a recipe
    assert [name for name in named if name not in new and not (ROOT / name).exists()] == []
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_list_of_pages_is_made_from_the_readme() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_llms.py"))["page"]
    written = (ROOT / "llms.txt").read_text(encoding="utf-8")
    assert written == page(), "run: python docs/make_llms.py"
    paths = re.findall(r"\]\(([^)#]+)\)", written)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_what_is_said_to_agents_is_there() -> None:
    text = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./]+(?:\.\w+|/))`", text)
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).exists()] == []
