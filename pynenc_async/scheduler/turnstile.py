"""One decision at a time, where its steps depend on each other and code of users may come in between."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pynenc_async.guard import serve_each

Late = tuple[Callable[..., object], tuple[Any, ...]]
"""A decision that was put off, and what it is about."""


class Turnstile:
    """Puts off a decision that comes in the midst of another one.

    A finalizer or a signal handler may call a task, or cancel an invocation, while the permits of that task change hands.
    """

    __slots__ = ("_busy", "_late")

    def __init__(self) -> None:
        self._busy = False
        self._late: Final[deque[Late]] = deque()
        """What came meanwhile."""

    def enter(self, decide: Callable[..., object], *args: Any) -> None:
        """Decide this now, or when what is under way is complete, and what came before this."""
        if self._busy:
            self._late.append((decide, args))
            return
        self._busy = True
        try:
            if self._late:  # the last one to catch up was itself interrupted
                self._catch_up()
            decide(*args)
        finally:
            try:
                if self._late:
                    self._catch_up()
            finally:
                self._busy = False

    def step(self, decide: Callable[..., object], *args: Any) -> None:
        """Decide this at once, as a step of the decision under way; what is decided so far is consistent."""
        busy, self._busy = self._busy, False
        try:
            decide(*args)
        finally:
            self._busy = busy

    def _catch_up(self) -> None:
        """Decide what came meanwhile. What that raises is reported: it is not the business of whoever is under way."""
        while self._late:
            serve_each((self._late.popleft(),), _decide_late, "a decision that was put off")


def _decide_late(late: Late) -> None:
    decide, args = late
    decide(*args)
