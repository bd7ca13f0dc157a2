"""Bundles with their golden requests: recorded when a bundle is written, replayed when it is
verified.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from recsys.bundle.bundle import Bundle
from recsys.bundle.files import write_sealed
from recsys.core.artefacts import no_pause
from recsys.releases import golden


def write_bundle(bundles: Path, bundle: Bundle) -> Path:
    """Write bundles/<sha12> and return it; a bundle of the same content is left as it is.

    Raises UsageError when the parts do not belong together.
    """
    bundle.check()

    def record(folder: Path) -> dict[str, Any]:
        return golden.record(Bundle.read(folder))

    return write_sealed(bundles, bundle.write_files, record)


def load_verified(path: Path) -> Bundle:
    """Read a bundle whose hashes agree and whose golden requests are answered as when it was
    written.

    Raises DataError naming what is missing, damaged or answered otherwise.
    """
    bundle = Bundle.load(path, verify=True)
    replay_golden(bundle)
    return bundle


def replay_golden(bundle: Bundle, between: Callable[[], None] = no_pause) -> None:
    """Ask the golden requests again, with `between` after each. Raises DataError for the first
    other answer.
    """
    golden.replay(bundle, bundle.golden(), between)
