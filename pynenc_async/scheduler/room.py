"""Backpressure: a bound on what waits, and who waits for room."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, Protocol

from pynenc_async.errors import QueueFullError
from pynenc_async.record import BodyWaiter, Record


class Asker(Protocol):
    """Somebody who waits for room."""

    def notify(self) -> None:
        """There may be room now."""
        ...


class Room:
    """How much more may be submitted."""

    def __init__(
        self,
        most: int,
        waiting: Callable[[], int],
        those: Callable[[], Iterable[Record]],
        relieve: Callable[[], bool],
    ) -> None:
        self._most: Final = most
        self._waiting: Final = waiting
        self._those: Final = those
        """Those who wait, the newest first; asked only when somebody looks for a ring."""
        self._relieve: Final = relieve
        """Ends one that waits for those who wait for room here, if there is one; says whether there was."""
        self._askers: Final[OrderedDict[Asker, None]] = OrderedDict()
        """An ordered set: who gives up is found at once."""

    def require(self, task_id: str, count: int = 1) -> None:
        """Raise `QueueFullError` unless there is room for `count` more."""
        waiting = self._waiting()
        if waiting + count > self._most:
            raise QueueFullError(
                f"{waiting} of at most {self._most} invocations (max_queued) wait already, so {count} of {task_id} "
                f"cannot be submitted; `await {task_id.rpartition('.')[2]}.submit(...)` waits for room"
            )

    def has_room(self) -> bool:
        """Whether one more may be submitted now, before those who have asked."""
        return self._waiting() < self._most

    def takers(self) -> Iterable[Record]:
        """Those of whom one has to begin or end before there is room."""
        return () if self.has_room() else self._those()

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody waits for room."""
        return bool(self._askers)

    def ask(self, asker: Asker, *, again: bool = False) -> None:
        """Notify `asker` once, when there may be room. Who has waited longest goes first, also if it asks again."""
        self._askers[asker] = None
        if again:
            self._askers.move_to_end(asker, last=False)

    def forget(self, asker: Asker) -> bool:
        """`asker` has gone: say whether it was still waiting. If not, what it was offered goes to the next."""
        if asker in self._askers:
            del self._askers[asker]
            return True
        self.offer()
        return False

    def bodies(self) -> Iterator[Record]:
        """Return the invocations whose bodies wait for room."""
        return chain.from_iterable(waiter.bodies() for waiter in self._asking_bodies())

    def refuse(self, body: Record, error: Exception) -> None:
        """Let this body wait for room no longer: its wait raises `error`."""
        for waiter in self._asking_bodies():
            waiter.refuse(body, error)

    def _asking_bodies(self) -> list[BodyWaiter]:
        askers: list[object] = list(self._askers)
        return [asker for asker in askers if isinstance(asker, BodyWaiter)]

    def offer(self) -> None:
        """Notify as many as there is room for."""
        if not self._askers:
            return
        waiting = self._waiting()
        while waiting >= self._most and self._relieve():
            before, waiting = waiting, self._waiting()
            if waiting >= before:
                break  # who was to make room has not yet: when that is so, room is offered again
        for _ in range(self._most - waiting):
            if not self._askers:
                return
            self._askers.popitem(last=False)[0].notify()

    def leave_loop(self) -> None:
        """Whoever waited is gone with the loop."""
        self._askers.clear()
