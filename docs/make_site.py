"""A hook of mkdocs: the README is the home page, and links out of docs/ lead into the repository.

The pages are written to be read where they lie; only the site has other addresses.
"""

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=[)#])")


def on_files(files: Any, config: Any) -> Any:
    """Add the home page."""
    from mkdocs.structure.files import File

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    home = _LINK.sub(lambda link: _from_docs(link[1]), text)
    files.append(File.generated(config, "index.md", content=home))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """What a page links to outside docs/ is named, as there is no page of it."""
    return re.sub(r"\[([^\]]+)\]\(([^)]+)\)", _within, markdown)


def _within(link: re.Match[str]) -> str:
    """The link, or its words alone where it leads out of docs/."""
    words, target = link[1], link[2]
    path = target.partition("#")[0]
    leads_out = path.startswith("..")
    if not leads_out or "://" in target:
        return link[0]
    return f"{words} (`{os.path.normpath(Path('docs') / path)}`)"


def _from_docs(path: str) -> str:
    """A path of the README as it leads from docs/."""
    if "://" in path:
        return path
    return path.removeprefix("docs/") if path.startswith("docs/") else f"../{path}"
