"""A text as terms: its words, and the character n-grams of each."""

import re
from collections.abc import Iterator

_WORD = re.compile(r"\w+")
_NGRAMS = (3, 4, 5)
_LONGEST_WORD = 40  # of a longer one the beginning counts: base64 in a description is no word


def terms_of(text: str) -> Iterator[str]:
    """Words in lower case, marked by "="; and their n-grams, with a space where a word ends.

    "Cats" gives "=cats", " ca", "cat", "ats", "ts ", " cat", …: spellings and compounds meet in the
    n-grams, and scripts without spaces have nothing else.
    """
    for match in _WORD.finditer(text.lower()):
        word = match[0][:_LONGEST_WORD]
        yield f"={word}"
        padded = f" {word} "
        for length in _NGRAMS:
            for start in range(len(padded) - length + 1):
                yield padded[start : start + length]
