"""One decision about permits at a time, though calls may come in the midst of it."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final


class Turnstile:
    """Puts off a decision that comes in the midst of another one.

    A finalizer or a signal handler may call a task, or cancel an invocation, while the permits of that task change hands.
    Whoever works with permits takes `busy` for that time, and ends with `leave`; in the usual cases without a call.
    """

    __slots__ = ("_late", "busy")

    def __init__(self) -> None:
        self.busy = False
        """Whether a decision is under way."""
        self._late: Final[deque[Callable[[], object]]] = deque()
        """What came meanwhile."""

    def put_off(self, decide: Callable[..., object], *args: object) -> None:
        """Decide this when the decision that is under way is complete."""
        self._late.append(partial(decide, *args))

    def enter(self, decide: Callable[..., object], *args: object) -> None:
        """Decide this now, or when the decision that is under way is complete."""
        if self.busy:
            self.put_off(decide, *args)
            return
        self.busy = True
        try:
            decide(*args)
        finally:
            self.leave()

    def leave(self) -> None:
        """The decision is complete: make those that have come meanwhile."""
        self.busy = False
        while self._late and not self.busy:
            self.enter(self._late.popleft())
