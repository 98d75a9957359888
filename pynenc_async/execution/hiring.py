"""What a pool does where the system refuses it a thread or a process.

What waits is run by the workers that live. The pool tries again after a while, each time after a longer one. It gives up
what waits only when that has failed too often, and nobody lives who could run it.
"""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import Final

from pynenc_async.clock import SimulatedLoop
from pynenc_async.telemetry import log
from pynenc_async.user_errors import name_of

RETRY_SECONDS: Final = (0.05, 0.15, 0.4)
"""After how long a pool tries again; from the last of them on, what waits in vain is given up."""


class Hiring:
    """Whether a pool may start a worker now, and when it tries again. In the loop's thread."""

    def __init__(
        self,
        what: str,
        loop: AbstractEventLoop,
        *,
        again: Callable[[], bool],
        give_up: Callable[[Exception], bool],
    ) -> None:
        self._what: Final = what
        self._loop: Final = loop
        self._again: Final = again
        """Starts workers for what waits, and says whether anything waits."""
        self._give_up: Final = give_up
        """Fails what waits, if nobody lives who could run it; says whether nothing waits any more."""
        self._failures = 0
        self._timer: TimerHandle | None = None

    @property
    def may_start(self) -> bool:
        """Whether a worker may be started now; if not, `again` is called soon."""
        return self._timer is None

    def succeeded(self) -> None:
        """A worker is there."""
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """A worker could not be started, or has died before it was there; several at once count once."""
        if self._timer is not None:
            return
        failures, self._failures = self._failures, self._failures + 1
        if failures == 0:
            log.warning("%s could not be started, which is tried again: %s", self._what, why(error))
        # In simulations time stands still while bodies are handed out.
        seconds = 0.0 if isinstance(self._loop, SimulatedLoop) else RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
        self._timer = self._loop.call_later(seconds, self._try_again)
        if failures >= len(RETRY_SECONDS):
            self._loop.call_soon(self._resign, error)  # a body may be handed out at this moment

    def _resign(self, error: Exception) -> None:
        if self._failures > len(RETRY_SECONDS) and self._give_up(error):
            self.stop()

    def stop(self) -> None:
        """Try no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._failures = None, 0

    def _try_again(self) -> None:
        self._timer = None
        if not self._again():
            self._failures = 0


def why(error: BaseException) -> str:
    """Say why the system has refused something."""
    return str(error) or name_of(error)
