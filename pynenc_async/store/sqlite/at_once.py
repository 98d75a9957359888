"""Few changes are committed in the thread that asks: to wake another thread and be woken by it takes ten times as long.

Only where nothing is known to hold that up: nobody else works with the connection, no commit waits for the disk (see
`durability`), and a lock that somebody else has is not waited for. What cannot be done at once, and as planned, goes the
long way, and so does everything for a while after a commit that was slow.
"""

import time
from collections.abc import Sequence
from typing import Final

from pynenc_async.store.sqlite.worker import Worker
from pynenc_async.store.sqlite.writer import Writer
from pynenc_async.store.values import Change

_FEW: Final = 8
"""Changes. More of them keep the writer's thread busy for longer than it takes to wake it."""
_SLOW_SECONDS: Final = 0.001
_REST: Final = 50
"""For so many times as long as a slow commit took there is no other, so that they take a fiftieth of the loop's time."""


class AtOnce:
    """The short way to the file."""

    def __init__(self, writer: Writer, work: Worker, *, allowed: bool) -> None:
        self._writer: Final = writer
        self._work: Final = work
        self._allowed: Final = allowed
        self._rests_until = 0.0

    def commit(self, changes: Sequence[Change]) -> bool:
        """Make the changes now, all of them; return False where that cannot be, and none was made."""
        if not self._allowed or len(changes) > _FEW:
            return False
        began = time.perf_counter()
        if began < self._rests_until or not self._work.borrow():
            return False
        try:
            done = self._writer.commit_at_once(changes)
        finally:
            self._work.give_back()
        took = time.perf_counter() - began
        if took > _SLOW_SECONDS:
            self._rests_until = began + _REST * took
        return done
