"""Places outside of the loop where bodies run: threads, worker processes. Each has so many slots of its own."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pynenc_async.record import Record
from pynenc_async.scheduler.ready import ReadyQueue
from pynenc_async.scheduler.unconnected import nobody_listens

Comeback = tuple[Record, Callable[[], bool]]
"""A paused record that wants its slot back, and whether somebody still wants that: asked once, when a slot is free."""


class Place:
    """How much of one place is in use, and who waits for it."""

    def __init__(self, limit: int, ageing_seconds: float | None = None) -> None:
        self.limit: Final = limit
        self.in_use = 0
        self.left_behind = 0
        """How many of these by bodies whose attempt is over, and who go on in a thread: see `leftovers`."""
        self.ahead = 0
        """How many records more than the limit may be handed out, so that nobody there has to wait for the loop."""
        self.queue: Final = ReadyQueue(ageing_seconds)
        """Records that came up while the place was full; older than anything of their level that is queued for all."""
        self.comebacks: Final[deque[Comeback]] = deque()
        self.start: Callable[[Any], None] = _nobody_there
        """Hands a record out, to be run there; set for the loop to which the app is bound."""
        self.abandon: Callable[[Any], None] = nobody_listens
        """Told of the driver of a body whose end nobody waits for any more, though it has not ended."""

    def has_room(self) -> bool:
        """Whether a new record may be handed out."""
        return self.in_use < self.limit + self.ahead and not self.comebacks


def _nobody_there(_record: Record) -> None:
    raise RuntimeError("the app is not bound to a loop")
