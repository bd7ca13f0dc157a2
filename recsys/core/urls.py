"""URLs that people give: no password of theirs is shown by a list of processes, a file or a log."""

from urllib.parse import urlsplit

from recsys.core.errors import UsageError


def require_no_password(url: str, what: str, instead: str) -> None:
    """Raises UsageError, which does not repeat the URL, where it holds a password as
    user:password@host or as a parameter.

    what: the flag or key that it came by. instead: where the password belongs.
    """
    try:
        has_password = bool(urlsplit(url).password)
    except ValueError:
        # No URL at all, which whoever opens it says in better words.
        has_password = False
    if has_password or "password=" in url:
        raise UsageError(
            f"{what} holds a password, which files and lists of processes show",
            f"Leave it to {instead}",
        )
