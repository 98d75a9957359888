"""Submitting in a thread that is not the loop's, and waiting there for room and for the store."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from typing import Any, Final

from pynenc_async.invocation.thread_wait import ThreadWait
from pynenc_async.record import AnyOf, Record


class Submission:
    """A submission under way in the loop, as a thread waits for it."""

    def __init__(self, runtime: Any, task_id: str, submit: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.runtime: Final = runtime
        self.name: Final = f"the call of {task_id}"
        self.invocation_id: Final = ""
        """There is none yet."""
        self._submit: Final = submit
        self._context: Final = copy_context()
        """That of the thread: the invocation that runs there is the parent."""
        self._task: asyncio.Task[Any] | None = None
        self._told: Callable[[asyncio.Task[Any]], None] | None = None

    def has_come(self) -> bool:
        """Begin it, if it has not begun; return whether it is over."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._submit(), context=self._context)
        return self._task.done()

    def add(self, waiter: ThreadWait) -> None:
        """Notify the waiter when it is over."""
        if self._task is not None:
            self._told = lambda _: waiter.notify()
            self._task.add_done_callback(self._told)

    def remove(self, waiter: ThreadWait) -> None:
        """Take the submission back, if it is not over: the waiter has gone."""
        del waiter
        if self._task is not None and self._told is not None:
            self._task.remove_done_callback(self._told)
            self._task.cancel()

    def needs(self) -> tuple[Sequence[Record], AnyOf | None]:
        """A body that waits needs no other invocation: room is made by any of them."""
        return (), None

    def invocation(self) -> Any:
        """Return the invocation that was submitted, or raise what has kept it from that."""
        if self._task is None:
            raise RuntimeError("the submission has not begun")
        return self._task.result()
