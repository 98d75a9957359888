"""Records in memory: found by number while they live, and after their end for as long as retention keeps them."""

import math
import time
import weakref
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from pynenc_async.record import Record
from pynenc_async.store.sizes import estimate

_UNMEASURED: Final = 64
"""How many ends may go by before the sizes of their results are looked at."""
_JUMP: Final = 1.0
"""Seconds by which the clock on the wall and one that nobody sets may part, until what is kept hears of it."""
_SHORTEST: Final = 0.001
"""Seconds of the shortest timer: a record is dropped after its time, and a timer may ring a little before."""


class Records:
    """The strong references of the runtime.

    A record is held from submission to its end, so that work which nobody awaits is never collected; after its end it is
    held until retention drops it: the oldest of more than `retain_count`, or of results that take more than `retain_bytes`,
    and whatever ended more than `retain_seconds` ago, by a timer.

    The end of an invocation appends to `finished`, and calls `look` where there are more than `look_at`. So sizes are
    estimated and the timer is set once in so many ends, and most ends pay nothing for retention.
    """

    __slots__ = (
        "__weakref__", "_ahead", "_bytes", "_call_later", "_clock", "_moved", "_originals", "_passed", "_sizes", "_timer",
        "finished", "look_at", "records", "retain_bytes", "retain_count", "retain_seconds",
    )  # fmt: skip

    def __init__(self, retain_count: int, retain_seconds: float, retain_bytes: int | None = None) -> None:
        self.retain_count: Final = retain_count
        self.retain_seconds: Final = retain_seconds
        self.retain_bytes: Final = math.inf if retain_bytes is None else retain_bytes
        self.records: Final[dict[int, Record]] = {}
        self.finished: Final[deque[Record]] = deque()
        self.look_at = 0
        """With more than so many in `finished`, `look` is to be called."""
        self._sizes: Final[deque[int]] = deque()
        """About how many bytes the results of the first of `finished` take."""
        self._bytes = 0
        self._originals: Final[weakref.WeakValueDictionary[int, Record]] = weakref.WeakValueDictionary()
        """What is found though `records` has a twin of it, or nothing any more."""
        self._clock: Callable[[], float] = time.time
        self._passed: Callable[[], float] = time.monotonic
        self._ahead = self._clock() - self._passed()
        self._moved: Final[dict[int, float]] = {}
        """When the first of `finished` ended, as the clock would have it that was set since; by number."""
        self._call_later: Callable[[float, Callable[[], None]], object] | None = None
        self._timer = False
        """Whether somebody looks when the oldest is to be dropped."""

    def bind(
        self,
        clock: Callable[[], float],
        passed: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        """Drop what is too old by timers of a loop, whose time of day is `clock`; nobody sets the clock `passed`."""
        self._clock, self._passed, self._call_later, self._timer = clock, passed, call_later, False
        self._ahead = clock() - passed()
        self._moved.clear()
        self.look_at = 0

    def leave_loop(self) -> None:
        """The loop is gone, and its timers with it."""
        self._call_later = None

    def keep_finished(self, record: Record) -> None:
        """Put a record that has just ended under retention."""
        self.finished.append(record)
        if len(self.finished) > self.look_at:
            self.look()

    def look(self) -> None:
        """Drop what is too much."""
        finished = self.finished
        if len(finished) > self.retain_count:
            self.drop_oldest()
        if len(finished) - len(self._sizes) >= _UNMEASURED or not self._timer:
            self._measure()

    def _measure(self) -> None:
        """Estimate what has ended since the last time, and see that somebody looks again."""
        self._hear_of_jumps(self._clock())
        finished, sizes = self.finished, self._sizes
        new = list(islice(reversed(finished), len(finished) - len(sizes)))
        for record in reversed(new):
            size = estimate(record._outcome)
            sizes.append(size)
            self._bytes += size
        while finished and self._bytes > self.retain_bytes:
            self.drop_oldest()
        self.look_at = min(self.retain_count, len(finished) + _UNMEASURED)
        self._set_timer()

    def _set_timer(self) -> None:
        """Look when the oldest is to be dropped."""
        if self._timer or self._call_later is None or not self.finished:
            return
        self._timer = True
        if self.retain_seconds == math.inf:
            return
        age = self._clock() - self._ended_at(self.finished[0])
        mine: weakref.ref[Records] = weakref.ref(self)
        self._call_later(max(_SHORTEST, self.retain_seconds - age), lambda: _drop_aged(mine))

    def drop_oldest(self) -> None:
        """Drop the record that ended first."""
        if self._sizes:
            self._bytes -= self._sizes.popleft()
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
        self._hear_of_jumps(now)
        finished, horizon = self.finished, now - self.retain_seconds
        while finished and self._ended_at(finished[0]) < horizon:
            self.drop_oldest()
        if self._moved and not (finished and finished[0]._number in self._moved):
            self._moved.clear()

    def _ended_at(self, record: Record) -> float:
        return self._moved.get(record._number) or record._ended_at or 0.0

    def _hear_of_jumps(self, now: float) -> None:
        """Where the clock on the wall was set, what had ended before that has become neither older nor younger."""
        ahead = now - self._passed()
        jump = ahead - self._ahead
        if abs(jump) < _JUMP:
            return
        self._ahead, measured = ahead, len(self._sizes)
        for place, record in enumerate(self.finished):
            ended = self._ended_at(record)
            # What has ended since the last look may have ended before the jump or after it.
            if place < measured or (ended > now if jump < 0 else ended + jump <= now):
                self._moved[record._number] = ended + jump

    def timer_due(self) -> None:
        """Drop what is too old, and look again when the next is; where nothing is left, its end sets the timer anew."""
        self._timer = False
        self.drop_aged(self._clock())
        self.look_at = 0 if not self.finished else self.look_at
        self._set_timer()

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


def _drop_aged(records: "weakref.ref[Records]") -> None:
    """Do so if the app is still there: a timer of hours must not keep it."""
    mine = records()
    if mine is not None:
        mine.timer_due()
