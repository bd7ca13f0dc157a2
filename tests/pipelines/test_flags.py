"""Messages propose flags that there are: every text of the code, and what is raised on the way."""

import ast
from pathlib import Path

import pytest

from flags import FLAG, all_flags, require_own_flags
from recsys.core.errors import DataError
from recsys.core.tables import require_columns

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("recsys", "pipelines", "serving")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def texts(path: Path) -> list[tuple[int, str]]:
    """Line and text of every string of a file, parts of f-strings among them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((node.lineno, node.value))
    return found


def test_every_flag_that_a_text_names_is_one_of_a_command() -> None:
    known = all_flags()
    named = set()
    for path in SOURCES:
        for line, text in texts(path):
            for flag in FLAG.findall(text):
                assert flag in known, f"{path.relative_to(ROOT)}:{line}: {flag} is no flag"
                named.add(flag)
    assert {"--user-col", "--out", "--target"} <= named  # the walk sees them


def test_flags_of_messages_are_held_against_their_command() -> None:
    require_own_flags(["add-items", "x"], "error: no column. Name it with --item-col")
    require_own_flags(["show", "x"], "If you know better: recsys promote RUN x --force")
    require_own_flags(["show", "x", "--colour"], "error: no such option: --colour")
    for arguments, message in (
        (["add-items", "x"], "error: no column. Name it with --user-col"),
        (["promote", "x"], "If you know better: recsys show RUN --force"),
    ):
        with pytest.raises(AssertionError, match="is no flag of the command"):
            require_own_flags(arguments, message)


def test_a_missing_column_proposes_what_names_it() -> None:
    with pytest.raises(DataError) as caught:
        require_columns(["usr"], {"user": "user_col"}, "the log")
    assert "--user-col (data.user_col in a configuration)" in caught.value.remedy
    assert "--item-col" not in caught.value.remedy
    with pytest.raises(DataError) as caught:
        require_columns(["place"], {"rank": None}, "the lists")
    assert "--" not in caught.value.remedy
