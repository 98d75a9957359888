"""Rates: when the next start fits, key by key.

A permit is given before its invocation is queued to run, and a slot may be free much later. What a rate counts is when bodies
begin: until then a permit that was given is a *promise*, for which there must be room at whatever moment it is kept. Whether
it has been is looked up when the room is needed, or the attempt is over: so a start costs nothing more than it does without
a rate.
"""

from collections.abc import Callable
from typing import Final

from pynenc_async.limit import Rate
from pynenc_async.pacing import NONE, Starts, fits_at, started
from pynenc_async.record import Record
from pynenc_async.scheduler.keys import Key
from pynenc_async.scheduler.statuses import PENDING, WAITS

_SLACK: Final = 1e-8
"""Seconds by which a start may be early: timers ring early by as much as the clock of a loop can tell."""
_AT_ONCE: Final = 1e-6
"""A body that begins within so many seconds has begun when it got its permit: two clocks tell no better."""
_NOT_BEGUN: Final = WAITS | {PENDING}
_MANY: Final = 1_024
_MANY_STARTS: Final = 256

BeganAt = Callable[[Record], float]
"""Returns when the last attempt of an invocation began that has, on the clock of the buckets."""


class Bucket:
    """The starts of one key."""

    __slots__ = ("_began", "_full_until", "_promised", "_rate", "_starts")

    def __init__(self, rate: Rate) -> None:
        self._rate: Final = rate
        self._starts: Starts = NONE
        self._promised: Final[dict[int, tuple[Record, float]]] = {}
        """Who has a permit and had not begun when that was looked up last, and since when; by number."""
        self._began: Final[list[float]] = []
        """When others began, whose attempts are over."""
        self._full_until = 0.0
        """Before this moment nobody may start, whatever is looked up."""

    def wait(self, now: float, began_at: BeganAt) -> float:
        """Return in how many seconds the next start may be allowed: 0 is now."""
        if self._full_until - now > _SLACK:
            return self._full_until - now
        promised = len(self._promised) + len(self._began)
        moment = fits_at(self._rate, self._starts, now, promised)
        if promised and (moment - now > _SLACK or len(self._began) >= _MANY_STARTS):
            self._look(now, began_at)
            moment = fits_at(self._rate, self._starts, now, len(self._promised))
        if moment - now <= _SLACK:
            return 0.0
        self._full_until = moment
        return moment - now

    def promise(self, record: Record, now: float) -> None:
        """Let `record` start, now or later."""
        self._promised[record._number] = record, now

    def over(self, record: Record, now: float, began_at: BeganAt) -> bool:
        """The attempt of `record` is over; say whether there is more room than was known, because it never began."""
        promise = self._promised.pop(record._number, None)
        if promise is None:
            return False
        if record._started_at is None:
            self._full_until = 0.0
            return True
        self._began.append(_between(promise[1], began_at(record), now))
        return False

    def put_off(self, record: Record, now: float, wait: float) -> None:
        """`record` was not started after all: others have taken the room, and in `wait` seconds there is some again."""
        self._promised.pop(record._number, None)
        self._full_until = now + wait

    def is_idle(self, now: float, began_at: BeganAt) -> bool:
        """Whether it knows nothing that a new one would not."""
        self._look(now, began_at)
        return not self._promised and max(self._starts.until, self._full_until) <= now

    def _look(self, now: float, began_at: BeganAt) -> None:
        """Look up who has begun."""
        moments = self._began[:]
        self._began.clear()
        for number, (record, since) in list(self._promised.items()):
            if record._status not in _NOT_BEGUN:
                del self._promised[number]
                moments.append(_between(since, began_at(record), now))
        for moment in sorted(moments):
            self._starts = started(self._rate, self._starts, moment)


class Buckets:
    """The buckets of one task; those that know nothing are forgotten when there are many."""

    def __init__(self, clock: Callable[[], float], began_at: BeganAt) -> None:
        self._clock: Final = clock
        self._began_at: Final = began_at
        self._by_key: Final[dict[Key, Bucket]] = {}
        self._most = _MANY

    def __len__(self) -> int:
        return len(self._by_key)

    def wait(self, record: Record) -> float:
        """Return in how many seconds `record` may start: 0 is now."""
        return self._of(record).wait(self._clock(), self._began_at)

    def promise(self, record: Record) -> None:
        """Let `record` start, now or later."""
        self._of(record).promise(record, self._clock())

    def over(self, record: Record) -> bool:
        """The attempt of `record` is over; say whether there is more room than was known, because it never began."""
        bucket = self._by_key.get(record._task.bucket_key(record._values))
        return bucket is not None and bucket.over(record, self._clock(), self._began_at)

    def put_off(self, record: Record, wait: float) -> None:
        """`record` was not started after all; it may be in `wait` seconds."""
        self._of(record).put_off(record, self._clock(), wait)

    def _of(self, record: Record) -> Bucket:
        key = record._task.bucket_key(record._values)
        bucket = self._by_key.get(key)
        if bucket is None:
            if len(self._by_key) >= self._most:
                self._sweep(self._clock())
            bucket = self._by_key[key] = Bucket(record._task.options.rate_limit)
        return bucket

    def _sweep(self, now: float) -> None:
        for key in [key for key, bucket in self._by_key.items() if bucket.is_idle(now, self._began_at)]:
            del self._by_key[key]
        self._most = max(_MANY, 2 * len(self._by_key))


def _between(since: float, moment: float, now: float) -> float:
    """Return when a body began that had its permit `since`: the clock on the wall, which `moment` is from, may be set."""
    if abs(moment - since) <= _AT_ONCE:
        return since
    return min(max(since, moment + _AT_ONCE), now)
