"""Bundles with a report, as a run writes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.run_report import RunReport
from recsys.releases.publish import write_bundle


def copy_with_report(path: Path, bundles: Path, document: Mapping[str, Any], page: str) -> Path:
    """The bundle at `path` again in the folder `bundles`, under the same name, with a report."""
    return write_bundle(bundles, Bundle.load(path).with_parts(RunReport(dict(document), page)))
