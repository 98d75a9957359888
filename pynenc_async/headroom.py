"""Room on the stack for what must be done, though the stack is full."""

import sys
from typing import Final

HEADROOM: Final = 400
"""Frames: several times as many as any decision takes."""


def add_headroom() -> int:
    """Let the stack grow further; return the limit that the caller sets again, with `sys.setrecursionlimit`.

    Whoever undoes what a `RecursionError` has broken off is as deep in the stack as that was. The limit is set again by
    the caller itself, which is one frame less deep than this: there is always room for that.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + HEADROOM)
    return limit
