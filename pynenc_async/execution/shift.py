"""How many bodies begin in one turn of the event loop.

Bare asyncio begins whatever is ready. Here a turn is bounded, so that a flood of work does not hold up everything else in
the loop. But nobody knows how much else a turn consists of: a web server answers a request of each connection in it. So
the bounds grow as long as more comes in each turn than begins, and shrink again when there is room to spare. A flood that
comes at once, or that bodies make while they run, keeps its length from turn to turn: it is worked off in usual turns.
"""

from typing import Final

BATCH: Final = 128
"""How many bodies begin in a turn, unless more come in each."""
SLICE_SECONDS: Final = 0.005
"""After how long a turn is over, so that slow bodies do not hold up the loop together."""
MOST_SECONDS: Final = 0.1
"""After how long it is over in any case."""
MOST_SCALE: Final = 1_024
"""How many times `BATCH` may begin at most."""


class Shift:
    """The beginning of bodies in the present turn."""

    __slots__ = ("_scale", "_waited", "deadline", "left", "own", "suspends")

    def __init__(self) -> None:
        self.left = 1
        """How many more may begin."""
        self.own = 0
        """How many of these the carrier begins whose turn it is; the others are begun before, in the names of others."""
        self.suspends = False
        """Whether a body has suspended: then others probably will, and each of them takes a Task of its own."""
        self.deadline = 0.0
        """When it is over in any case, on the wall clock."""
        self._scale = 1
        """By how much the bounds are wider than usual."""
        self._waited = 0
        """How many could have begun when the bounds were last seen to be wide enough, or became wider."""

    def begin(self, now: float, batch: int, startable: int) -> None:
        """A turn has come, and `startable` bodies could begin in it."""
        usual = batch * self._scale
        if self.left or startable <= self._waited:  # nothing was left over, or it becomes less
            self._waited = startable
            if self._scale > 1 and 2 * startable <= usual:
                self._scale //= 2
        elif startable > self._waited + usual // 2:
            self._waited = startable
            self._scale = min(2 * self._scale, MOST_SCALE)
        self.left = self.own = batch * self._scale
        if self.suspends:
            self.own = max(1, self.left - startable + 1)
            self.suspends = False
        self.deadline = now + min(SLICE_SECONDS * self._scale, MOST_SECONDS)
