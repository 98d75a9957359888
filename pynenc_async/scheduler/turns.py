"""The lines of one task's limits: which of them are looked at next, and what the others wait for.

A line in which somebody waits is *in turn*, as long as its head could go on, as far as is known. Else something gives it a
turn again:

* *asleep*, the timer of the bucket whose rate it waits for, one for all who do;
* *parked*, a permit that comes back, for which lines compete;
* neither, a permit that comes back under the key that is the line's own.

The lines in turn are served in rotation, so a hot key starves no other. Those with one `running_total` have a rotation of
their own, for they can all go on under it or none can; of several rotations, the line that has waited longest for its turn
goes first. A line that is not in turn, or whose total is reached, is not looked at: the cost of a decision does not depend
on how many wait.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from operator import itemgetter
from typing import Any, Final, Protocol

from pynenc_async.scheduler.keys import Key, Mixed
from pynenc_async.scheduler.lines import Line

NOBODY: Final = object()
"""No line is in turn; None is a key."""

_since: Final = itemgetter(0)


class Timers(Protocol):
    """What is due later; the `Agenda` is it."""

    def now(self) -> float:
        """Seconds on a clock that only moves forward."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Any:
        """Call back in `delay` seconds, unless the returned call is cancelled."""
        ...

    def cancel(self, call: Any, /) -> None:
        """Make a call never; it must not have been made."""
        ...


class Turns:
    """All lines of one task, by key."""

    def __init__(self, timers: Timers, woken: Callable[[], None], total_of: Callable[[Key], int | None]) -> None:
        self._timers: Final = timers
        self._woken: Final = woken
        """Called when time alone has given lines a turn."""
        self.lines: Final[dict[Key, Line]] = {}
        """Those in which somebody waits, or has waited."""
        self._total_of: Final = total_of
        """Tells the `running_total` of those who wait in a line."""
        self._rotations: Final[dict[int | None, deque[tuple[int, Key]]]] = {}
        """By total, the lines in turn, each with a number that says since when."""
        self._numbers: Final = count()
        self._in_turn: Final[set[Key]] = set()
        self._parked: Final[dict[Key, dict[int, dict[Mixed, None]]]] = {}
        """By the key of a permit and by what the limits of a use are, lines that wait for such a permit."""
        self._asleep: Final[dict[Key, tuple[Any, dict[Key, None]]]] = {}
        """By the key of a bucket, the timer that will wake them, and the lines that wait for it."""

    def line(self, key: Key) -> Line:
        """Return a line, made on first use."""
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line()
        return line

    # -- in turn, asleep, parked ---------------------------------------------------------------------------------------

    def take(self, key: Key) -> None:
        """Give a line a turn, behind those that have one."""
        if key not in self._in_turn:
            self._in_turn.add(key)
            self._put_last(key)

    def _put_last(self, key: Key) -> None:
        self._rotations.setdefault(self._total_of(key), deque()).append((next(self._numbers), key))

    @property
    def are_some(self) -> bool:
        """Whether any line is in turn."""
        return bool(self._in_turn)

    def next(self, is_open: Callable[[int | None], bool]) -> Key:
        """Return the key of the line whose turn it is, of those whose total is open; `NOBODY` when there is none."""
        heads = [rotation[0] for total, rotation in self._rotations.items() if is_open(total)]
        return min(heads, key=_since)[1] if heads else NOBODY

    def take_all(self) -> None:
        """Give every line a turn."""
        for key in list(self.lines):
            self.take(key)

    def begin_anew(self) -> None:
        """Give every line a turn, whatever was known of them."""
        self._in_turn.clear()
        self._rotations.clear()
        self.take_all()

    def rotate(self, key: Key) -> None:
        """The line whose turn it is has used it, and gets the next one after all others."""
        self._take_first(key)
        self._put_last(key)

    def leave(self, key: Key) -> None:
        """The line whose turn it is gives it up."""
        self._take_first(key)
        self._in_turn.discard(key)

    def end(self, key: Key) -> None:
        """In the line whose turn it is nobody waits any more."""
        del self.lines[key]
        self.leave(key)

    def _take_first(self, key: Key) -> None:
        total = self._total_of(key)
        rotation = self._rotations[total]
        rotation.popleft()
        if not rotation:
            del self._rotations[total]

    def park(self, key: Mixed) -> None:
        """Let a line that is not in turn wait for one of its permits."""
        if key not in self._in_turn:
            self._parked.setdefault(key.permit, {}).setdefault(key.kind, {})[key] = None

    def sleep(self, key: Key, bucket: Key, seconds: float) -> None:
        """Give a line a turn when its bucket has filled, in so many seconds unless others wait for it already."""
        asleep = self._asleep.get(bucket)
        if asleep is None:
            asleep = self._asleep[bucket] = self._timers.call_later(seconds, lambda: self._wake(bucket)), {}
        asleep[1][key] = None

    def hurry(self, bucket: Key) -> None:
        """Give the lines that wait for a bucket a turn now: it may fill at another time than was known."""
        asleep = self._asleep.pop(bucket, None)
        if asleep is not None:
            self._timers.cancel(asleep[0])
            self._take_living(asleep[1])

    # -- what they wait for --------------------------------------------------------------------------------------------

    def give_back(self, permit: Key) -> None:
        """A permit came back: the line of its key has a turn, and those that compete for it."""
        if permit in self.lines:
            self.take(permit)
        if self._parked:
            self.unpark(permit)

    def unpark(self, permit: Key) -> None:
        """Let others compete for a permit: of lines with the same limits one is enough, for they can all use it or none can."""
        by_kind = self._parked.get(permit)
        if by_kind is None:
            return
        for kind, parked in list(by_kind.items()):
            while parked:
                key = next(iter(parked))
                del parked[key]
                if key in self.lines:
                    self.take(key)
                    break
            if not parked:
                del by_kind[kind]
        if not by_kind:
            del self._parked[permit]

    def _wake(self, bucket: Key) -> None:
        self._take_living(self._asleep.pop(bucket)[1])
        self._woken()

    def _take_living(self, keys: Iterable[Key]) -> None:
        for key in keys:
            if key in self.lines:
                self.take(key)
