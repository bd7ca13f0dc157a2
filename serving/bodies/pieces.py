"""A JSON text cut into pieces that are each read at once: runs of elements of its long lists, and what
is left beside them.

Nothing is understood here: signs of structure are found outside of strings, and whoever parses the
pieces learns whether they are JSON. The text is iff all its pieces are.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

PIECE_BYTES = 4096
_SHORT_BYTES = 1024  # a list that stays where it is
LARGEST_BYTES = 1 << 18
"""Of what cannot be cut: far more than anything that is valid takes."""

_DEEPEST = 256  # no JSON parser that we know goes so deep

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_OBJECT = rb'\{(?:[^][{}"]++|' + _STRING + rb")*+\}"
_SCALARS = rb'[^][{}",]*+'
# Elements that hold no further list, with the commas behind them.
_ELEMENTS = re.compile(
    rb"(?s:" + _SCALARS + rb"(?:(?:" + _STRING + rb"|" + _OBJECT + rb")" + _SCALARS + rb")*+,)*+"
)
_NEXT = re.compile(rb"(?s:" + _SCALARS + rb"(?:" + _STRING + _SCALARS + rb")*+)")
_CLOSING = {ord("["): ord("]"), ord("{"): ord("}")}
_BRACKETS = {ord("]"): b"[%b]", ord("}"): b"{%b}"}
_COMMA = ord(",")


class NotJson(ValueError):
    """The text is no JSON."""


class TooLarge(ValueError):
    """What cannot be cut is over LARGEST_BYTES."""


@dataclass
class Pieces:
    """A text in pieces.

    lists: runs of elements, without the brackets, of every list that was cut out. rest: the text
        with a mark in the place of each. between: called before every piece.
    """

    between: Callable[[], None]
    lists: list[list[bytes]] = field(default_factory=list)
    rest: bytes = b""
    _name: str = field(default_factory=lambda: secrets.token_hex(16))

    def cut_out(self, runs: list[bytes]) -> bytes:
        """A mark in the place of a list: a list as well, so that where none may be it is refused alike."""
        self.lists.append(runs)
        return b'["%b",%d]' % (self._name.encode(), len(self.lists) - 1)

    def runs_of(self, value: object) -> list[bytes] | None:
        """The runs of the list that a mark stands for; None for what is no mark."""
        if isinstance(value, list) and len(value) == 2 and value[0] == self._name:
            return self.lists[value[1]]
        return None


class _Open:
    """A list or an object of which the end is not seen yet. closing: the sign that ends it."""

    def __init__(self, closing: int) -> None:
        self.closing = closing
        self._texts: list[bytes] = []
        self._runs: list[bytes] = []
        self._size = 0

    def add(self, text: bytes) -> None:
        self._texts.append(text)
        self._size += len(text)

    def is_full(self, further: int) -> bool:
        """Whether a run ends here, with so many further bytes."""
        return self.closing == ord("]") and self._size + further >= PIECE_BYTES

    def end_run(self) -> None:
        if self._size > LARGEST_BYTES:
            raise TooLarge
        self._runs.append(b"".join(self._texts))
        self._texts.clear()
        self._size = 0

    def text(self, pieces: Pieces) -> bytes:
        """The whole, or its mark."""
        is_short = self._size < _SHORT_BYTES
        if self.closing == ord("]") and (self._runs or not is_short):
            self.end_run()
            return pieces.cut_out(self._runs)
        return _BRACKETS[self.closing] % b"".join(self._texts)

    def rest(self) -> bytes:
        """Of the outermost, which has no brackets."""
        self.end_run()
        return self._runs[0]


def cut(text: bytes, between: Callable[[], None]) -> Pieces:
    """A text in pieces. between: called every few thousand bytes.

    Raises NotJson where brackets do not match or strings do not end, TooLarge.
    """
    pieces = Pieces(between)
    open_ones = [_Open(0)]
    position = taken = 0
    while True:
        here = open_ones[-1]
        # Whole elements first, as many as fit into a piece; then up to the sign that stopped them.
        end = _end(_ELEMENTS, text, position, PIECE_BYTES)
        if end > position:
            position = end
            if here.is_full(position - taken):
                # Without the comma behind the last element.
                here.add(text[taken : position - 1])
                here.end_run()
                taken = position
                between()
            continue
        position = _end(_NEXT, text, position, LARGEST_BYTES)
        if position == len(text):
            break
        sign = text[position]
        if sign in _CLOSING:
            here.add(text[taken:position])
            open_ones.append(_Open(_CLOSING[sign]))
            if len(open_ones) > _DEEPEST:
                raise NotJson
        elif sign == here.closing:
            here.add(text[taken:position])
            open_ones.pop()
            open_ones[-1].add(here.text(pieces))
        elif sign == _COMMA:
            continue
        else:
            raise _unfinished(text, position)
        position += 1
        taken = position
    if len(open_ones) > 1:
        raise NotJson
    here.add(text[taken:])
    pieces.rest = here.rest()
    return pieces


def _end(pattern: re.Pattern[bytes], text: bytes, position: int, most: int) -> int:
    """Where a pattern that matches anything ends, at most so many bytes further."""
    matched = pattern.match(text, position, position + most)
    return position if matched is None else matched.end()


def _unfinished(text: bytes, position: int) -> ValueError:
    """A bracket that closes nothing, or a string without an end as far as is looked."""
    if text[position] == ord('"') and len(text) - position > LARGEST_BYTES:
        return TooLarge()
    return NotJson()
