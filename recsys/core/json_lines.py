"""JSON lines that several processes append to, each under the lock beside the file."""

from collections.abc import Callable
from pathlib import Path

from recsys.core.artefacts import atomic_file, exclusive


def lock_of(file: Path) -> Path:
    """The lock that whoever writes to the file holds."""
    return file.with_name(f".{file.name}.lock")


def remove_lines(file: Path, is_gone: Callable[[bytes], bool]) -> int:
    """Write the file anew without some lines, while nobody appends to it; how many went.

    Readers see another inode, and begin anew; where nothing goes, the file stays as it is.
    """
    if not file.exists():
        return 0
    with exclusive(lock_of(file), "", "", wait=True):
        # Read twice, so that memory holds the numbers of lines only.
        with file.open("rb") as lines:
            gone = {number for number, line in enumerate(lines) if is_gone(line)}
        if gone:
            _rewrite(file, gone)
    return len(gone)


def _rewrite(file: Path, gone: set[int]) -> None:
    """Without the lines of these numbers, and with the mode that the file had."""
    mode = file.stat().st_mode
    with atomic_file(file) as fresh, file.open("rb") as lines, fresh.open("wb") as out:
        for number, line in enumerate(lines):
            if number not in gone:
                out.write(line)
    # `atomic_file` gives a mode of its own.
    file.chmod(mode)
