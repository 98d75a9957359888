"""The awaitable that `cancel` returns: the request was made at the call, and awaiting it waits for the end."""

from collections.abc import Callable, Coroutine, Generator
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Generic, TypeVar, final

Found = TypeVar("Found")


class CancelOutcome(StrEnum):
    """State what `cancel` found."""

    NEVER_STARTED = "never_started"
    """The body had not begun, and never will."""
    STOPPED = "stopped"
    """The body had begun, and ended by the cancellation."""
    FINISHED = "finished"
    """The body came to its own end: before the cancellation, or in spite of it."""


@final
class Cancellation(Coroutine[Any, Any, Found], Generic[Found]):
    """Wait for the end of what was told to stop when this object was made.

    Dropping it is allowed: the request stands, and no warning is given. It may be awaited any number of times. It is a
    coroutine as well, so that `asyncio.create_task(invocation.cancel())`, `asyncio.run` and task groups take it.
    """

    __slots__ = ("_until_stopped", "_waiting")

    def __init__(self, until_stopped: Callable[[], Coroutine[Any, Any, Found]]) -> None:
        self._until_stopped: Final = until_stopped
        self._waiting: Coroutine[Any, Any, Found] | None = None
        """The wait of the asyncio Task that was made of this object; an `await` has one of its own."""

    def __await__(self) -> Generator[Any, None, Found]:
        return self._until_stopped().__await__()

    def send(self, value: Any, /) -> Any:
        """Go on with the wait, as asyncio does with a coroutine."""
        return self._coroutine().send(value)

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None, /) -> Any:
        """Raise an exception in the wait: in practice a cancellation of the waiter, which leaves the request as it is."""
        del tb
        return self._coroutine().throw(typ if val is None else val)

    def close(self) -> None:
        """End the wait, and leave the request as it is."""
        if self._waiting is not None:
            self._waiting.close()

    def _coroutine(self) -> Coroutine[Any, Any, Found]:
        if self._waiting is None:
            self._waiting = self._until_stopped()
        return self._waiting
