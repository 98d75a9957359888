"""Backpressure: a bound on what waits, and who waits for room."""

from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Callable
from typing import Final

from pynenc_async.errors import QueueFullError


class Room:
    """How much more may be submitted."""

    def __init__(self, most: int, waiting: Callable[[], int]) -> None:
        self._most: Final = most
        self._waiting: Final = waiting
        self._wanted: Final[deque[Future[None]]] = deque()

    def require(self, task_id: str, count: int = 1) -> None:
        """Raise `QueueFullError` unless there is room for `count` more."""
        waiting = self._waiting()
        if waiting + count > self._most:
            raise QueueFullError(
                f"{waiting} of at most {self._most} invocations (max_queued) wait already, so {count} of {task_id} "
                f"cannot be submitted; `await {task_id.rpartition('.')[2]}.submit(...)` waits for room"
            )

    async def wait(self) -> None:
        """Return when there is room. Who has waited longest goes first."""
        while self._waiting() >= self._most or self._wanted:
            future = get_running_loop().create_future()
            self._wanted.append(future)
            try:
                await future
            except BaseException:
                if future.done() and not future.cancelled():
                    self.offer()  # somebody else may have it
                raise
            finally:
                if future in self._wanted:
                    self._wanted.remove(future)
            if self._waiting() < self._most:
                return

    def offer(self) -> None:
        """Wake as many as there is room for."""
        if not self._wanted:
            return
        for _ in range(self._most - self._waiting()):
            while self._wanted and self._wanted[0].done():
                self._wanted.popleft()
            if not self._wanted:
                return
            self._wanted.popleft().set_result(None)

    def leave_loop(self) -> None:
        """Whoever waited is gone with the loop."""
        self._wanted.clear()
