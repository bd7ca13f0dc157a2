"""What the page may load: its own files, and pictures of items from hosts that the operator names.

A picture tells its host who looks at which item, so that none is loaded from elsewhere unless told.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from recsys.core.errors import UsageError

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", re.IGNORECASE)


@cache
def page_policy(images: Sequence[str]) -> str:
    """The Content-Security-Policy of the page. images: origins, as `checked_origins` gives them."""
    pictures = " ".join(("'self'", "data:", *images))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"img-src {pictures}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def checked_origins(origins: Iterable[str]) -> tuple[str, ...]:
    """Origins that can stand in a policy, in small letters as browsers have them.

    Raises UsageError for anything else: a policy is one line, in which a stray word opens the page.
    """
    checked = []
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise UsageError(
                f"--images {origin!r} is no origin", "Name scheme and host: https://img.example.com"
            )
        checked.append(origin.lower())
    return tuple(checked)
