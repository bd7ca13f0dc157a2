"""Quotes that enclose fields, told from quotes that stand in the text by chance.

A field that begins with a quote and never closes it ("12 inch for 12") would swallow every row up to
the next quote. So lines are looked at before they are parsed: a line that leaves a field open is
joined with those after it, up to the one that closes the field, as RFC 4180 has it. Where that makes
no sense the quote is stray, and its line alone is broken.
"""

import re
from dataclasses import dataclass, field

import polars as pl

from recsys.logs.packed import BLOCK_BYTES

_SAMPLE_LINES = 200
_USUAL_SHARE = 0.9
_NUMBER = re.compile(r"\s*[-+]?\d+(?:[.,]\d+)?\s*")


@dataclass(frozen=True)
class CheckedLines:
    """What is in a block of lines.

    lines: whole records, without the lines that have a stray quote.
    stray: those lines, (position in the block from 0, text).
    unfinished: lines of a record that goes on in the next block.
    num_lines: lines of the block without the unfinished ones.
    """

    lines: bytes
    stray: list[tuple[int, str]] = field(default_factory=list)
    unfinished: bytes = b""
    num_lines: int = 0


class QuoteChecker:
    """Looks at the quotes of a file whose separator is one character, block by block."""

    def __init__(self, separator: str, num_fields: int) -> None:
        self._separator = separator
        self._num_fields = num_fields
        mark = f"\\x{ord(separator):02x}"
        # A quote within a quoted field is written twice.
        inside = '[^"]*(?:""[^"]*)*'
        # What follows a closing quote inside of its field is sloppy and does no harm.
        quoted = f'"{inside}"(?:[^{mark}"][^{mark}]*)?'
        plain = f'(?:[^{mark}"][^{mark}]*)?'
        one_field = f"(?:{quoted}|{plain})"
        rest = f"(?:{mark}{one_field})*"
        self._whole_line = f"^{one_field}{rest}$"
        self._next_field = re.compile(f"{one_field}({mark}|$)")
        # From inside of a field on: the first quote that is not doubled must end the field.
        self._goes_on = re.compile(inside)
        self._ends_field = re.compile(f'{inside}"\\s*(?:{mark}|$)')
        self._ends_record = re.compile(f'{inside}"\\s*{rest}')

    def check(self, block: bytes, is_last: bool) -> CheckedLines:
        """Find stray quotes.

        Args:
            block: whole lines in UTF-8.
            is_last: whether nothing comes after it.

        Returns:
            The records of the block, and what is wrong with the others.
        """
        if b'"' not in block:
            return CheckedLines(block, num_lines=_count_lines(block))
        text = block.decode("utf-8", errors="replace").removesuffix("\n")
        # By polars, line after line in compiled code: most blocks end here, without a Python loop.
        series = pl.Series("line", [text]).str.split("\n").explode()
        has_quote = series.str.contains('"', literal=True)
        leaves_open = has_quote & ~series.str.contains(self._whole_line)
        openings = leaves_open.arg_true().to_list()
        if not openings:
            return CheckedLines(block, num_lines=_count_lines(block))
        lines = _BlockLines(series.to_list(), has_quote.arg_true().to_list())
        return self._check_openings(block, lines, openings, is_last)

    def _check_openings(
        self, block: bytes, lines: "_BlockLines", openings: list[int], is_last: bool
    ) -> CheckedLines:
        stray: list[int] = []
        end_of_record = -1
        for opening in openings:
            # It stands inside of a record that began before.
            if opening <= end_of_record:
                continue
            closing = self._closing(lines, opening)
            # It may close in the next block; what is open for longer than a block counts as stray.
            if closing is None and not is_last and lines.bytes_from(opening) < BLOCK_BYTES:
                return _without_stray(block, lines, stray, opening)
            if closing is not None and self._makes_sense(lines, opening, closing):
                end_of_record = closing
            else:
                stray.append(opening)
        return _without_stray(block, lines, stray, len(lines.texts))

    def _closing(self, lines: "_BlockLines", opening: int) -> int | None:
        """The line that ends the record begun by `opening`; None when the block has none.

        A quote that closes nothing well gives `opening` itself.
        """
        for position in lines.quotes_after(opening):
            text = lines.texts[position]
            if self._goes_on.fullmatch(text):
                continue
            if self._ends_record.fullmatch(text):
                return position
            if not self._ends_field.match(text):
                return opening
        return None

    def _makes_sense(self, lines: "_BlockLines", opening: int, closing: int) -> bool:
        """Whether lines joined to one record are one, and not rows that a stray quote joins."""
        if closing == opening:
            return False
        record = lines.texts[opening : closing + 1]
        if self._count_fields("\n".join(record)) != self._num_fields:
            return False
        rows = [text.split(self._separator) for text in record]
        # One of the lines is no row by itself: only the record as a whole can be.
        if any(len(row) != self._num_fields for row in rows):
            return True
        # Every line would be a row of its own: it is one if it looks like the other rows.
        sample = []
        for text in lines.texts[:_SAMPLE_LINES]:
            row = text.split(self._separator)
            if len(row) == self._num_fields:
                sample.append(row)
        num_usual = 0
        for column in range(self._num_fields):
            for looks_right in (_is_number, _is_quoted):
                usual = [looks_right(row[column]) for row in sample]
                if sum(usual) < _USUAL_SHARE * len(usual):
                    continue
                num_usual += 1
                if not all(looks_right(row[column]) for row in rows):
                    return True
        # Where nothing is usual, the shortest record is believed: a stray quote joins any number.
        return num_usual == 0 and len(record) == 2

    def _count_fields(self, record: str) -> int:
        """Fields of a record; 0 when its quotes do not close."""
        num_fields = 0
        position = 0
        while True:
            match = self._next_field.match(record, position)
            if match is None:
                return 0
            num_fields += 1
            position = match.end()
            # Ended by the end of the record instead of a separator.
            if match[1] == "":
                return num_fields


@dataclass(frozen=True)
class _BlockLines:
    """texts: lines of a block. with_quote: places of those that hold a quote, ascending."""

    texts: list[str]
    with_quote: list[int]

    def quotes_after(self, opening: int) -> list[int]:
        """Places of the lines with a quote after `opening`."""
        first = pl.Series(self.with_quote).search_sorted(opening, side="right")
        return self.with_quote[first:]

    def bytes_from(self, opening: int) -> int:
        """About how long the lines from `opening` on are."""
        return sum(len(text) + 1 for text in self.texts[opening:])


def _without_stray(
    block: bytes, lines: _BlockLines, stray: list[int], num_lines: int
) -> CheckedLines:
    """The first `num_lines` of a block without the stray ones; the others are unfinished."""
    raw = block.split(b"\n")
    broken = set(stray)
    whole_lines = [line for position, line in enumerate(raw[:num_lines]) if position not in broken]
    finished = b"\n".join(whole_lines) + b"\n"
    unfinished = b"\n".join(raw[num_lines:])
    texts = [(position, lines.texts[position]) for position in stray]
    return CheckedLines(finished, texts, unfinished, num_lines)


def _count_lines(block: bytes) -> int:
    return block.count(b"\n") + (not block.endswith(b"\n"))


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip('"\r')) is not None


def _is_quoted(text: str) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare.startswith('"') and bare.endswith('"')
