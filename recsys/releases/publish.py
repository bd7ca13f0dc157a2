"""Bundles with their golden requests: recorded when a bundle is written, replayed when it is
verified.
"""

from collections.abc import Callable
from pathlib import Path

from recsys.bundle.bundle import Bundle, write_sealed
from recsys.bundle.contents import Contents, check_contents, write_files
from recsys.core.artefacts import no_pause
from recsys.releases import golden


def write_bundle(bundles: Path, contents: Contents) -> Path:
    """Write bundles/<sha12> and return it; a bundle of the same content is left as it is.

    Raises UsageError when the parts do not belong together.
    """
    check_contents(contents)
    return write_sealed(bundles, lambda folder: write_files(folder, contents), golden.record)


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
