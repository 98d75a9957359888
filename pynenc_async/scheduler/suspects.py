"""Who may be poison: what has crashed already, and runs apart where it can afford no other crash.

When a process dies, all bodies that were under way are interrupted, and nobody knows which one has killed it. So that
none is given up for a crash of its neighbour, an invocation whose next crash would be its last never runs beside another
that has crashed. Those that can afford one more run side by side: most crashes have other reasons, and recovery must not
be slow.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from pynenc_async.record import Record
from pynenc_async.scheduler.durability import durable_of


class Suspects:
    """The attempts under way of what has crashed before, and what waits for its turn among them, in order."""

    def __init__(self, queue: Callable[[Record], None]) -> None:
        self._queue: Final = queue
        self._waiting: Final[deque[Record]] = deque()
        self._admitted: Final[dict[int, Record]] = {}
        self._is_alone = False
        """Whether the one that is admitted must stay the only one."""

    def add(self, record: Record) -> None:
        """Let it wait for its turn."""
        record.need_more().held = True
        self._waiting.append(record)

    def leave(self, record: Record) -> None:
        """Its attempt is over."""
        if self._admitted.pop(record._number, None) is not None:
            self._is_alone = False

    def admit(self) -> None:
        """Queue those whose turn it is."""
        while self._waiting and not self._is_alone:
            record = self._waiting[0]
            durable = durable_of(record)
            if record._ended_at is not None or durable.ending or durable.away:
                self._waiting.popleft()
                continue
            is_last_chance = durable.interruptions >= record._task.options.max_crashes - 1
            if is_last_chance and self._admitted:
                return
            self._waiting.popleft()
            self._admitted[record._number] = record
            self._is_alone = is_last_chance
            record.need_more().held = False
            self._queue(record)
