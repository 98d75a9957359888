"""Text that comes from outside, as it can be shown: in a message, in a log, on a terminal."""

import re
from typing import Final

_LINES: Final = "\n\t"
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # what a terminal obeys
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what puts the text behind it in another order
    "\u2028\u2029"  # what some take for the end of a line
    "\ud800-\udfff]"  # what is no text, and stands for the bytes of a name that is none (`os.fsdecode`)
)


def printable(text: str) -> str:
    """Return the text on one line, with all that a terminal would obey spelled out, as Python writes it."""
    return text if text.isprintable() else _UNSAFE.sub(_spelled_out, text)


def printable_lines(text: str) -> str:
    """Return the same of a text that may have several lines, and tabs."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in _LINES else _spelled_out(found), text)


def _spelled_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class Lines(str):
    """A text for the log that has several lines, as a stack has."""

    __slots__ = ()
