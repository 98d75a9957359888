"""How a worker is told to stop: by SIGTERM, which its main thread hears between two steps of the interpreter.

What follows depends on where that thread is. In a body it is the body that hears of it, as of a cancellation in the loop.
While a frame is written it has to wait: half a frame would spoil all that follows. A worker that waits for work ends.
"""

from asyncio import CancelledError
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final


class Stopping:
    """Whether the worker was told to stop, and who is to hear of it."""

    def __init__(self, interrupt: Callable[[], object] | None) -> None:
        self.interrupt: Final = interrupt
        """What ends a `def` that runs in this thread, where that is possible."""
        self.look: Callable[[], object] | None = None
        """Looks whether there is a request, where it comes as a message and not as a signal."""
        self.requested = False
        self._tell: Callable[[], object] | None = None
        self._shielded = False

    def request(self) -> None:
        """The worker is to stop; told once, for telling it again would cut the cleaning up short."""
        if not self.requested:
            self.requested = True
            if not self._shielded:
                self._tell_now()

    def tell(self, listener: Callable[[], object] | None) -> None:
        """Call `listener` when the worker is told to stop, from now on; None: nobody."""
        self._tell = listener

    @contextmanager
    def shield(self) -> Generator[None]:
        """Tell nobody until the block is left."""
        self._shielded, before = True, self.requested
        try:
            yield
        finally:
            self._shielded = False
        if self.requested and not before:
            self._tell_now()

    def _tell_now(self) -> None:
        if self._tell is not None:
            self._tell()


def raise_cancelled() -> None:
    """End what runs in this thread, as a cancellation ends a coroutine."""
    raise CancelledError("told to stop")


def leave() -> None:
    """End the worker."""
    raise SystemExit
