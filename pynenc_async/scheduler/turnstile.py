"""One decision about permits at a time, though calls may come in the midst of it."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final


class Turnstile:
    """Puts off a decision that comes in the midst of another one.

    A finalizer or a signal handler may call a task, or cancel an invocation, while the permits of that task change hands.
    """

    __slots__ = ("_busy", "_late")

    def __init__(self) -> None:
        self._busy = False
        self._late: Final[deque[tuple[Callable[..., object], tuple[Any, ...]]]] = deque()
        """What came meanwhile."""

    def enter(self, decide: Callable[..., object], *args: Any) -> None:
        """Decide this now, or when the decision that is under way is complete."""
        if self._busy:
            self._late.append((decide, args))
            return
        self._busy = True
        try:
            decide(*args)
        finally:
            self._busy = False
            if self._late:
                self._catch_up()

    def _catch_up(self) -> None:
        while not self._busy:
            try:
                decide, args = self._late.popleft()
            except IndexError:  # there are none, or somebody else has been faster
                return
            self.enter(decide, *args)


class TurnstileTimers:
    """The timers of `agenda`, whose calls are decisions about permits."""

    def __init__(self, agenda: Any, turnstile: Turnstile) -> None:
        self._agenda: Final = agenda
        self._turnstile: Final = turnstile
        self.now: Final[Callable[[], float]] = agenda.now
        self.cancel: Final[Callable[[Any], None]] = agenda.cancel

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Any:
        """Call back in `delay` seconds, unless the returned call is cancelled."""
        return self._agenda.call_later(delay, lambda: self._turnstile.enter(callback))
