"""The pages as a site: built strictly, so that a broken link or a page that nobody finds fails."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(out: Path, config: Path = ROOT / "mkdocs.yml") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", out]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_page_is_on_the_site(tmp_path: Path) -> None:
    built = build(tmp_path)
    assert built.returncode == 0, built.stderr
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages | {"index"} <= {path.stem for path in tmp_path.glob("*.html")}
    # A page that is in no menu is found by nobody.
    assert "not included" not in built.stderr
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'href="tutorial.html"' in home and "recsys init" in home
    assert 'class="mermaid"' in (tmp_path / "architecture.html").read_text(encoding="utf-8")
    for page in tmp_path.glob("*.html"):
        assert "fonts.googleapis" not in page.read_text(encoding="utf-8"), page.name


def test_a_broken_link_fails(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = "# A page\n\n[elsewhere](not-there.md)\n"
    (tmp_path / "docs" / "index.md").write_text(page, encoding="utf-8")
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    text = text.replace("hooks: [docs/make_site.py]\n", "")
    (tmp_path / "mkdocs.yml").write_text(text, encoding="utf-8")
    built = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert built.returncode != 0 and "not-there.md" in built.stderr
