"""Rates: when the next start fits, key by key."""

from collections.abc import Callable
from typing import Final

from pynenc_async.limit import Rate
from pynenc_async.record import Record
from pynenc_async.scheduler.keys import Key

_SLACK: Final = 1e-6
"""Seconds by which a timer may fire early, as far as rates are concerned."""
_MANY: Final = 1_024


class Bucket:
    """When the next start fits the rate: the generic cell rate algorithm of ITU-T I.371, which is one number."""

    __slots__ = ("_full_at",)

    def __init__(self) -> None:
        self._full_at = 0.0
        """The moment at which it has its whole capacity again."""

    def wait(self, rate: Rate, now: float) -> float:
        """Return in how many seconds the next start is allowed: 0 is now."""
        delay = self._full_at - (rate.capacity - 1) * rate.interval - now
        return delay if delay > _SLACK else 0.0

    def take(self, rate: Rate, now: float) -> None:
        """Start one."""
        self._full_at = max(self._full_at, now) + rate.interval

    def put_off(self, rate: Rate, now: float, wait: float) -> None:
        """One was not started after all: allow the next start in `wait` seconds."""
        self._full_at = max(self._full_at - rate.interval, now + wait + (rate.capacity - 1) * rate.interval)

    def is_full(self, now: float) -> bool:
        """Whether it knows nothing that a new one would not."""
        return self._full_at <= now


class Buckets:
    """The buckets of one task; those that know nothing are forgotten when there are many."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock: Final = clock
        self._by_key: Final[dict[Key, Bucket]] = {}
        self._most = _MANY

    def __len__(self) -> int:
        return len(self._by_key)

    def wait(self, record: Record, rate: Rate) -> float:
        """Return in how many seconds `record` may start: 0 is now."""
        return self._of(record).wait(rate, self._clock())

    def take(self, record: Record, rate: Rate) -> None:
        """Start `record`."""
        self._of(record).take(rate, self._clock())

    def put_off(self, record: Record, rate: Rate, wait: float) -> None:
        """`record` was not started after all; it may be in `wait` seconds."""
        self._of(record).put_off(rate, self._clock(), wait)

    def _of(self, record: Record) -> Bucket:
        key = record._task.bucket_key(record._values)
        bucket = self._by_key.get(key)
        if bucket is None:
            if len(self._by_key) >= self._most:
                self._sweep(self._clock())
            bucket = self._by_key[key] = Bucket()
        return bucket

    def _sweep(self, now: float) -> None:
        for key in [key for key, bucket in self._by_key.items() if bucket.is_full(now)]:
            del self._by_key[key]
        self._most = max(_MANY, 2 * len(self._by_key))
