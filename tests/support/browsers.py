"""Debian's Chromium, driven by Playwright, and pages that may neither complain nor ask anybody but
their own server.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

REQUIRED = "RECSYS_BROWSER"
"""Environment variable: "required" turns the skip into a failure."""
SCREENSHOTS = "RECSYS_SCREENSHOTS"
"""Environment variable: folder for the screenshots; pytest's own when absent."""

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE = 300_000  # milliseconds


@dataclass
class Heard:
    """What a page complained of, and whom it asked."""

    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def listen(self, page: Page) -> None:
        page.on(
            "console",
            lambda said: (
                self.complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))


@contextmanager
def browsing(profile: Path) -> Iterator[BrowserContext]:
    """A browser with an empty profile; skips the test where there is none. profile: a new folder."""
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get(REQUIRED) == "required" else pytest.skip)(
            "no chromium here; on Debian: apt-get install chromium"
        )
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=path,
            env={**os.environ, "HOME": str(profile)},
            headless=True,
            args=_FLAGS,
            viewport={"width": 1280, "height": 900},
        )
        context.set_default_timeout(_PATIENCE)
        expect.set_options(timeout=_PATIENCE)
        try:
            yield context
        finally:
            context.close()


@contextmanager
def fresh_page(context: BrowserContext) -> Iterator[tuple[Page, Heard]]:
    """A page of its own, and what is heard of it."""
    page, heard = context.new_page(), Heard()
    heard.listen(page)
    try:
        yield page, heard
    finally:
        page.close()


def screenshots(otherwise: Path) -> Path:
    """The folder for screenshots, made when it is missing."""
    folder = Path(os.environ.get(SCREENSHOTS, otherwise))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
