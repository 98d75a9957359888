"""Who waits under one key of a limit, and in which order."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from pynenc_async.options import TaskOptions
from pynenc_async.record import Record


class Line:
    """The highest priority first, then in order; a level is gained for each span of waiting, so nobody starves.

    Who came a span earlier is a level higher for as long as both wait, so the order in which two leave is known when the
    second comes: `rank` says it all.
    """

    __slots__ = ("_dead", "_heap", "reason")

    _tickets: Final = count()

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Record]] = []
        self._dead = 0
        self.reason: tuple[TaskOptions, str] | None = None
        """Why those who came with these options wait: the same words for all."""

    def __bool__(self) -> bool:
        return bool(self._heap)

    def __iter__(self) -> Iterator[Record]:
        """Go through those who wait, in no particular order."""
        return (record for _, _, record in self._heap if _waits(record))

    def push(self, record: Record, now: float, ageing_seconds: float | None) -> None:
        """Put `record` at the end of its level."""
        aged = 0.0 if ageing_seconds is None else now / ageing_seconds
        heappush(self._heap, (aged - record._task.options.priority, next(self._tickets), record))

    def head(self) -> Record | None:
        """Return who is next, if somebody still waits."""
        heap = self._heap
        while heap and not _waits(heap[0][2]):
            heappop(heap)
            self._dead -= self._dead > 0
        return heap[0][2] if heap else None

    def pop(self) -> None:
        """Let the head go."""
        heappop(self._heap)

    def note_dead(self) -> None:
        """Count one that waits no more; sweep when most do not."""
        self._dead += 1
        if self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if _waits(entry[2])]
            heapify(self._heap)
            self._dead = 0


def _waits(record: Record) -> bool:
    # Who has a driver is about to end: where that has to be written down first, it takes time.
    return record._ended_at is None and record._driver is None and record._more is not None and record._more.held
