"""With whom an inline invocation has to do: who drives it, and its runtime."""

from asyncio import AbstractEventLoop
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Run(Protocol):
    """What drives a claimed invocation, through all its attempts."""

    @property
    def ended(self) -> Future[None]:
        """Done when the invocation has ended; the outcome is in the record."""
        ...

    @property
    def thread_id(self) -> int:
        """The thread that it needs to get on."""
        ...

    @property
    def gone(self) -> bool:
        """Whether it can never report: its event loop was closed under it."""
        ...

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop that it needs; None where the thread calls the body itself."""
        ...

    def cancel(self) -> None:
        """Ask the body to stop; callable in any thread."""
        ...


class Desk(Protocol):
    """The runtime, as its records see it."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held while a record changes; reentrant."""
        ...

    @property
    def blocked(self) -> dict[int, Any]:
        """The threads that do nothing until an invocation has ended, and which one."""
        ...

    def runner_of(self, number: int) -> str:
        """Return the id of the runner that makes the transitions of an invocation."""
        ...

    def format_id(self, number: int) -> str:
        """Return the invocation id."""
        ...

    def hold(self, record: Any) -> None:
        """The record has been claimed: nobody else may hold it while it runs."""
        ...

    def retain(self, record: Any) -> None:
        """The record has ended."""
        ...
