"""A bundle without one person: every row that is theirs goes, what was learnt from everybody stays."""

from pathlib import Path

from recsys.bundle.bundle import Bundle
from recsys.core.errors import UsageError
from recsys.releases.publish import write_bundle


def without_user(bundle: Bundle, user: int) -> Path:
    """Write a bundle beside `bundle` that lacks the user of that internal id; returns it.

    Vectors of items, tables between items, and counts of users stay as they were learnt. Raises
    UsageError for the only user.
    """
    if len(bundle.users) == 1:
        raise UsageError(f"bundle {bundle.name} knows nobody else", "Remove the run folder instead")
    bundles = bundle.path.resolve().parent
    return write_bundle(bundles, bundle.drop_user(user))
