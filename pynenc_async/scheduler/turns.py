"""The lines of one task's limits: which of them are looked at next, and what the others wait for.

A line in which somebody waits is *in turn*, as long as its head could go on, as far as is known. Else something gives it a
turn again:

* *asleep*, the timer of the bucket whose rate it waits for, one for all who do;
* *parked*, a permit that comes back, for which lines compete;
* neither, a permit that comes back under the key that is the line's own.

The lines in turn are served in rotation, so a hot key starves no other. One that is not in turn is not looked at: the cost
of a decision does not depend on how many wait.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from pynenc_async.scheduler.keys import Key, Mixed
from pynenc_async.scheduler.lines import Line


class Turns:
    """All lines of one task, by key."""

    def __init__(self, wake_later: Callable[[float, Callable[[], None]], object], woken: Callable[[], None]) -> None:
        self._wake_later: Final = wake_later
        self._woken: Final = woken
        """Called when time alone has given lines a turn."""
        self.lines: Final[dict[Key, Line]] = {}
        """Those in which somebody waits, or has waited."""
        self.order: Final[deque[Key]] = deque()
        """The keys of the lines in turn."""
        self._in_turn: Final[set[Key]] = set()
        self._parked: Final[dict[Key, dict[int, dict[Mixed, None]]]] = {}
        """By the key of a permit and by what the limits of a use are, lines that wait for such a permit."""
        self._asleep: Final[dict[Key, dict[Key, None]]] = {}
        """By the key of a bucket, the lines that wait for it."""

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
            self.order.append(key)

    def take_all(self) -> None:
        """Give every line a turn."""
        for key in self.lines:
            self.take(key)

    def leave(self) -> None:
        """The line whose turn it is gives it up."""
        self._in_turn.discard(self.order.popleft())

    def end(self) -> None:
        """In the line whose turn it is nobody waits any more."""
        del self.lines[self.order[0]]
        self.leave()

    def park(self, key: Mixed) -> None:
        """Let a line that is not in turn wait for one of its permits."""
        if key not in self._in_turn:
            self._parked.setdefault(key.permit, {}).setdefault(key.kind, {})[key] = None

    def sleep(self, key: Key, bucket: Key, seconds: float) -> None:
        """Give a line a turn when its bucket has filled, in so many seconds unless others wait for it already."""
        asleep = self._asleep.get(bucket)
        if asleep is None:
            asleep = self._asleep[bucket] = {}
            self._wake_later(seconds, lambda: self._wake(bucket))
        asleep[key] = None

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
        for key in self._asleep.pop(bucket):
            if key in self.lines:
                self.take(key)
        self._woken()
