"""Who may be poison: an invocation whose next crash would be its last runs alone among its kind.

When a process dies, all bodies that were under way are interrupted, and nobody knows which one has killed it. So that
none is given up for a crash of its neighbour, those that cannot afford another one take turns. The first crashes are not
treated so: most have other reasons, and recovery must not be slow.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from pynenc_async.record import Record
from pynenc_async.scheduler.drafts import durable_of


class Suspects:
    """The one that may run now, and those that wait for their turn."""

    def __init__(self, queue: Callable[[Record], None]) -> None:
        self._queue: Final = queue
        self._waiting: Final[deque[Record]] = deque()
        self._admitted: Record | None = None

    def add(self, record: Record) -> None:
        """Let it wait for its turn."""
        record.need_more().held = True
        self._waiting.append(record)

    def leave(self, record: Record) -> None:
        """Its attempt is over."""
        if record is self._admitted:
            self._admitted = None

    def admit(self) -> None:
        """Queue the next one, if it is its turn."""
        while self._waiting and self._admitted is None:
            record = self._waiting.popleft()
            durable = durable_of(record)
            if record._ended_at is None and not (durable.ending or durable.away):
                self._admitted = record
                record.need_more().held = False
                self._queue(record)
