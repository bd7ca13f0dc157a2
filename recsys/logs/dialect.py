"""How a text file is written, told from its first bytes: encoding, line ends, separator, column
names.
"""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from recsys.core.errors import DataError

SEPARATORS = ",\t;|"
_SAMPLE_LINES = 20
# UTF-32 begins like UTF-16 does, so it is looked for first.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR_LINE = re.compile(r'^"?sep=(.)"?$', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class Encoding:
    """How bytes become lines of UTF-8.

    codec: name for Python.
    mark: bytes before the text.
    lone_returns: whether lines end in a carriage return alone, as old Macintosh programs write.
    """

    codec: str
    mark: bytes
    lone_returns: bool


@dataclass(frozen=True)
class Dialect:
    """How a text file of fields is written.

    encoding: of its bytes.
    separator: between fields, one character or several.
    names: of the columns.
    head_lines: lines before the first row.
    """

    encoding: Encoding
    separator: str
    names: list[str]
    head_lines: int


def tell_encoding(name: str, start: bytes) -> Encoding:
    """The encoding of a file. Raises DataError for bytes that are no text."""
    codec, mark = "utf-8", b""
    for candidate, candidate_codec in _BYTE_ORDER_MARKS:
        if start.startswith(candidate):
            codec, mark = candidate_codec, candidate
            break
    if codec == "utf-16" or codec == "utf-32":
        mark = b""  # Python takes the byte order from the mark, so it is left in place
    elif b"\0" in start:
        codec = _codec_of_nulls(name, start)
    text = start.decode(codec, errors="ignore")
    lone_returns = "\r" in text and "\n" not in text
    return Encoding(codec, mark, lone_returns)


def tell_dialect(
    name: str, start: bytes, separator: str | None, columns: tuple[str, ...] | None
) -> Dialect:
    """The dialect of a file.

    Args:
        name: of the file, for messages.
        start: its first bytes, unpacked.
        separator: as configured; used where the first line has it.
        columns: names when there is no header line.

    Returns:
        What the first lines agree on.

    Raises:
        DataError: for bytes that are no text, and for a header without names or with a name twice.
    """
    encoding = tell_encoding(name, start)
    lines = _first_lines(name, start, encoding)
    head_lines = 0
    declared = _SEPARATOR_LINE.match(lines[0])
    if declared:
        # Excel writes the separator into a line of its own.
        separator = separator or declared[1]
        head_lines += 1
        lines = lines[1:] or [""]
    if separator is None or separator not in lines[0]:
        separator = _tell_separator(lines) or separator or ","
    if columns:
        return Dialect(encoding, separator, list(columns), head_lines)
    names = _header_names(name, lines[0], separator)
    return Dialect(encoding, separator, names, head_lines + 1)


def line_blocks(blocks: Iterable[bytes], encoding: Encoding) -> Iterator[bytes]:
    """Blocks of bytes as blocks of whole lines in UTF-8; the last line may lack its end."""
    rest = b""
    for block in _utf8_blocks(blocks, encoding):
        lines, end, unfinished = (rest + block).rpartition(b"\n")
        if end:
            yield lines + end
        rest = unfinished
    if rest:
        yield rest


def _utf8_blocks(blocks: Iterable[bytes], encoding: Encoding) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding.codec)()
    unread_mark = encoding.mark
    for block in blocks:
        block = block.removeprefix(unread_mark)
        unread_mark = b""
        if encoding.codec != "utf-8":
            block = decoder.decode(block).encode()
        if encoding.lone_returns:
            block = block.replace(b"\r", b"\n")
        yield block
    # Half a character at the end raises UnicodeDecodeError.
    yield decoder.decode(b"", final=True).encode()


def _codec_of_nulls(name: str, start: bytes) -> str:
    """UTF-16 of western text has a null in every other byte; anything else with nulls is no text."""
    pairs = len(start) // 2
    nulls_first = start[0 : 2 * pairs : 2].count(0)
    nulls_second = start[1 : 2 * pairs : 2].count(0)
    if nulls_second > pairs // 2 and nulls_first == 0:
        return "utf-16-le"
    if nulls_first > pairs // 2 and nulls_second == 0:
        return "utf-16-be"
    raise DataError(
        f"{name!r} is no text: it holds bytes that are zero",
        "Export it as CSV, JSON Lines or Parquet, and name it accordingly",
    )


def _first_lines(name: str, start: bytes, encoding: Encoding) -> list[str]:
    """The header line and some after it, without their ends."""
    first_block = next(line_blocks([start], encoding), b"") if start else b""
    lines = first_block.split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES]
    try:
        header = lines[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(name, error) from error
    others = [line.decode("utf-8", errors="replace") for line in lines[1:]]
    return [line.rstrip("\r") for line in [header, *others]]


def not_utf8(name: str, error: BaseException) -> DataError:
    """DataError for text in another encoding than UTF-8 and UTF-16."""
    message = str(error).strip().split("\n")[0]
    return DataError(
        f"{name!r} is not valid UTF-8: {message}",
        "Convert it: iconv -f latin1 -t utf8 OLD > NEW (or your encoding)",
    )


def _tell_separator(lines: list[str]) -> str | None:
    """The separator that most lines have as often as the header has it; None when there is none."""
    header = _QUOTED.sub("", lines[0])
    others = [_QUOTED.sub("", line) for line in lines[1:] if line.strip()]
    best, best_score = None, (0.0, 0)
    for separator in SEPARATORS:
        count = header.count(separator)
        if count == 0:
            continue
        agreeing = sum(line.count(separator) == count for line in others)
        share = agreeing / len(others) if others else 1.0
        if best is None or (share, count) > best_score:
            best, best_score = separator, (share, count)
    return best


def _header_names(name: str, header: str, separator: str) -> list[str]:
    if not header.strip():
        raise DataError(
            f"{name!r} starts with an empty line instead of column names",
            "Remove it, or name data.columns",
        )
    fields = header.split(separator)
    if len(separator) == 1:
        # A name may be quoted, and hold the separator then.
        fields = next(csv.reader([header], delimiter=separator))
    names = [field.strip() for field in fields]
    for column in names:
        if names.count(column) > 1:
            raise DataError(
                f"{name!r} has several columns named {column!r}",
                "Rename all but one in its first line",
            )
    return names
