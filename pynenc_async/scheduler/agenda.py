"""What is due later: one heap, and one timer of the loop, for the earliest entry.

An entry is never searched for. When what it stands for is over, it is stale: it is dropped when it comes up, and swept
out when more than half of all are. Time here only moves forward, also from one loop to the next.
"""

from collections.abc import Callable, Container
from enum import IntEnum
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Final, Protocol

from pynenc_async.scheduler.turnstile import Turnstile

_SWEEP_AT: Final = 64
_LONGEST_TIMER: Final = 1e9
"""Seconds: uvloop raises for a timer that is set too far ahead. Whoever rings early looks, and sets it again."""
SLACK: Final = 2e-9
"""Seconds by which an entry may be early: loops ring timers early by as much as their clock's resolution."""


class Kind(IntEnum):
    """What is due. Integers, so that entries can be compared."""

    START = 0
    """A delayed invocation is registered to run."""
    RETRY = 1
    TIMEOUT = 2
    DEADLINE = 3
    EXPIRY = 4
    CALL = 5
    """A callback: the subject is a `Call`."""


class Handle(Protocol):
    """A timer of the loop."""

    def cancel(self) -> None:
        """Stop it."""
        ...


class Call:
    """A callback that is due; cancelled, it is never made."""

    __slots__ = ("_number", "callback")

    _numbers: Final = count()

    def __init__(self, callback: Callable[[], None]) -> None:
        self._number: Final = -next(self._numbers)
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never make the call."""
        self.callback = None

    def make(self) -> None:
        """Make the call, once."""
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


Entry = tuple[float, int, Kind, Any]
"""When, the number of the subject, the kind, the subject: an invocation's record, or a `Call`."""


class Agenda:
    """Everything that is due later. Bound to one loop after another."""

    def __init__(self, fire: Callable[[float, Kind, Any], None], is_live: Callable[[float, Kind, Any], bool]) -> None:
        self._fire: Final = fire
        self._is_live: Final = is_live
        self._entries: list[Entry] = []
        self._dead = 0
        self._time: Callable[[], float] = lambda: 0.0
        self._offset = 0.0
        self._call_later: Callable[[float, Callable[[], None]], Handle] | None = None
        self._timer: Handle | None = None
        self._armed_for = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def now(self) -> float:
        """Seconds on a clock that only moves forward."""
        return self._time() + self._offset

    def bind(self, time: Callable[[], float], call_later: Callable[[float, Callable[[], None]], Handle]) -> None:
        """Use the clock and the timers of a loop from now on; what was due in 5 seconds still is."""
        now = self.now()
        self._time, self._call_later = time, call_later
        self._offset = now - time()
        self._timer = None
        self._arm()

    def leave_loop(self) -> None:
        """The loop is gone: what is due waits for the next one."""
        self._call_later = self._timer = None

    def put(self, delay: float, kind: Kind, subject: Any) -> float:
        """Note what is due in `delay` seconds; return when that is."""
        return self.put_at(self.now() + delay, kind, subject)

    def put_at(self, when: float, kind: Kind, subject: Any) -> float:
        """Note what is due at `when`, on this clock."""
        heappush(self._entries, (when, subject._number, kind, subject))
        if self._timer is None or when < self._armed_for:
            self._arm()
        return when

    def call_later(self, delay: float, callback: Callable[[], None]) -> Call:
        """Call back in `delay` seconds, unless the returned call is cancelled."""
        call = Call(callback)
        self.put(delay, Kind.CALL, call)
        return call

    def after(self, seconds: float, kinds: Container[Kind]) -> list[Any]:
        """Return the living subjects of these kinds that are due later than in so many seconds; looks at every entry."""
        moment = self.now() + seconds
        return [
            subject
            for when, _, kind, subject in self._entries
            if when > moment and kind in kinds and self._is_live(when, kind, subject)
        ]

    def cancel(self, call: Call) -> None:
        """Make a call never; it must not have been made."""
        call.cancel()
        self.note_dead()

    def note_dead(self) -> None:
        """Count an entry that became stale; sweep when most are."""
        self._dead += 1
        if self._dead >= _SWEEP_AT and self._dead * 2 > len(self._entries):
            self._sweep()

    def _sweep(self) -> None:
        entries, self._entries = self._entries, []
        living = [entry for entry in entries if self._is_live(entry[0], entry[2], entry[3])]
        self._entries += living  # what is put meanwhile, by a finalizer for instance, is there already
        heapify(self._entries)
        self._dead = 0
        if self._entries and (self._timer is None or self._entries[0][0] < self._armed_for):
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._entries and self._call_later is not None:
            self._armed_for = self._entries[0][0]
            delay = min(max(0.0, self._armed_for - self.now()), _LONGEST_TIMER)
            self._timer = self._call_later(delay, self._ring)

    def _ring(self) -> None:
        self._timer = None
        try:
            self._fire_due(self.now() + SLACK)
        finally:
            self._arm()  # whatever was raised, the rest is still due

    def _fire_due(self, now: float) -> None:
        entries = self._entries
        while entries and entries[0][0] <= now:
            when, _, kind, subject = heappop(entries)
            if self._is_live(when, kind, subject):
                self._fire(when, kind, subject)
            else:
                self._dead -= self._dead > 0
            entries = self._entries  # a sweep made a new list


class TurnstileTimers:
    """The timers of `agenda`, whose calls are decisions about permits."""

    def __init__(self, agenda: Agenda, turnstile: Turnstile) -> None:
        self._agenda: Final = agenda
        self._turnstile: Final = turnstile
        self.now: Final = agenda.now
        self.cancel: Final = agenda.cancel

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Call:
        """Call back in `delay` seconds, unless the returned call is cancelled."""
        return self._agenda.call_later(delay, lambda: self._turnstile.enter(callback))
