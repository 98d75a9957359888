"""Records in memory: found by number while they live, and after their end for as long as retention keeps them."""

import weakref
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from typing import Final

from pynenc_async.record import Record


class Records:
    """The strong references of the runtime.

    A record is held from submission to its end, so that work which nobody awaits is never collected; after its end it is
    held until retention drops it: the oldest of more than `retain_count`, and whatever ended more than `retain_seconds` ago.
    """

    __slots__ = ("_originals", "finished", "records", "retain_count", "retain_seconds")

    def __init__(self, retain_count: int, retain_seconds: float) -> None:
        self.retain_count: Final = retain_count
        self.retain_seconds: Final = retain_seconds
        self.records: Final[dict[int, Record]] = {}
        self.finished: Final[deque[Record]] = deque()
        self._originals: Final[weakref.WeakValueDictionary[int, Record]] = weakref.WeakValueDictionary()
        """What is found though `records` has a twin of it, or nothing any more."""

    def keep_finished(self, record: Record) -> None:
        """Put a record that has just ended under retention."""
        self.finished.append(record)
        if len(self.finished) > self.retain_count:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Drop the record that ended first."""
        self.records.pop(self.finished.popleft()._number, None)  # it may have been given away meanwhile

    def keep_twin(self, record: Record) -> None:
        """Hold a twin of the ended record, so that the record itself goes when its last handle goes (see `alarm`)."""
        self._originals[record._number] = record
        twin = self.records[record._number] = record.clone()
        self.keep_finished(twin)

    def keep_findable(self, record: Record) -> None:
        """Let the record be found, retention or not, as long as somebody holds it."""
        self._originals[record._number] = record

    def drop_aged(self, now: float) -> None:
        """Drop what ended too long before `now`."""
        finished, horizon = self.finished, now - self.retain_seconds
        while finished and (finished[0]._ended_at or 0.0) < horizon:
            self.drop_oldest()

    def find(self, number: int) -> Record | None:
        """Return the record, the very object that its handles are where one still lives."""
        return self._originals.get(number) or self.records.get(number)

    def from_number(self, after: int | None, *, newest_first: bool) -> Iterator[Record]:
        """Yield the records in the order of their numbers, or in the opposite one, from behind `after` on."""
        numbers = sorted(self.records)  # which they nearly are already
        if newest_first:
            numbers = numbers[: len(numbers) if after is None else bisect_left(numbers, after)][::-1]
        elif after is not None:
            numbers = numbers[bisect_right(numbers, after) :]
        for number in numbers:
            record = self.find(number)
            if record is not None:
                yield record

    def __iter__(self) -> Iterator[Record]:
        for number, record in list(self.records.items()):
            yield self._originals.get(number, record)

    def __len__(self) -> int:
        return len(self.records)
