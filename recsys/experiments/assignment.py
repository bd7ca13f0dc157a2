"""Who gets which arm: a stable hash, the same in every process and after every restart."""

from collections.abc import Sequence
from hashlib import blake2b

_BYTES = 8


def position(text: str, salt: str, purpose: str) -> float:
    """A number in [0, 1) for a text, uniform over texts and independent between salts and purposes.

    53 bits of a keyed BLAKE2b, so that it is below 1 as a double, too.
    """
    digest = blake2b(
        text.encode("utf-8", "surrogatepass"),
        digest_size=_BYTES,
        key=salt.encode(),
        person=purpose.encode(),
    ).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


def arm_of(user: str, salt: str, shares: Sequence[float]) -> int | None:
    """Number of the arm of a user; None for somebody outside the experiment.

    The arms lie one behind the other on [0, 1): a user stays while the shares before theirs do.
    """
    user_position = position(user, salt, "arm")
    end = 0.0
    for number, share in enumerate(shares):
        end += share
        if user_position < end:
            return number
    return None
