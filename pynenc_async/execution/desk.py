"""What those who run bodies need of the scheduler, wherever they run them."""

from collections.abc import Callable
from typing import Protocol

from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus


class Desk(Protocol):
    """Where events are reported; `scheduler.Scheduler` is it."""

    @property
    def clock(self) -> Callable[[], float]:
        """The wall clock."""
        ...

    def passed(self) -> float:
        """Return what time it is on a clock that nobody sets."""
        ...

    @property
    def format_id(self) -> Callable[[int], str]:
        """Ids by number."""
        ...

    def succeeded(self, record: Record, value: object) -> None:
        """The body returned."""
        ...

    def failed(self, record: Record, error: BaseException) -> None:
        """The body raised."""
        ...

    def ended_late(self, driver: object, outcome: object, *, returned: bool) -> None:
        """A body has ended whose attempt was over before."""
        ...

    def mend(self, record: Record, error: BaseException) -> None:
        """The beginning or the end of an attempt was broken off by `error`."""
        ...

    def attempt_goes_on(self, record: Record) -> None:
        """An attempt of a task with a timeout has been handed out, or has not ended at once."""
        ...

    def note_at(self, now: float, record: Record, status: InvocationStatus, attempt: int) -> None:
        """Write down a transition that was made elsewhere."""
        ...

    def put_back(self, record: Record, reason: str) -> None:
        """Queue again what was handed out, and whose body was taken back before it began."""
        ...

    def pause(self, record: Record) -> None:
        """The body waits, and its slot is free."""
        ...

    def come_back(self, record: Record, wanted: Callable[[], bool]) -> None:
        """The paused body wants its slot back: `wanted` is called when it is there, and says whether it still is."""
        ...


class PoolPlace(Protocol):
    """How many bodies the scheduler hands out to a pool."""

    ahead: int

    @property
    def limit(self) -> int:
        """How many threads or workers there are."""
        ...
