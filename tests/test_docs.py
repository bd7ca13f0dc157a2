"""The pages say what the code does."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_configuration_page_is_made_from_the_code() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_configuration.py"))["page"]
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == page() + "\n", "run: python docs/make_configuration.py"
