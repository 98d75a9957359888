"""The end of an event loop: noticed before the loop is closed, so that nothing begins there that it would not live to see.

An event loop says nothing of its end. But whoever ends it in order (asyncio.run, asyncio.Runner, anyio.run, uvloop.run)
first cancels all of its Tasks and waits for them, then closes its async generators, then waits for its threads. So

* one of these generators is ours: that it is closed is the end of the loop;
* when all Tasks of the loop are cancelled behind our back, the end is near. It was something else if the loop still runs
  after the Tasks have ended.
"""

import weakref
from asyncio import AbstractEventLoop, Task, all_tasks
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import suppress
from typing import Any, Final, Protocol

from pynenc_async.guard import serve_each

LAST_MOMENTS_SECONDS: Final = 0.05
"""How long a loop takes at most to close after its Tasks have ended that it has cancelled."""
LONGEST_SECONDS: Final = 5.0
"""After how long it is held that the loop is not going to be closed, though some of these Tasks go on."""


class Listener(Protocol):
    """Whatever in a loop would wait for ever once that is gone."""

    def loop_ended(self) -> None:
        """Wait no longer. Called in the loop as its last Tasks have ended, or in any thread after it was closed."""
        ...


class LoopEnd:
    """The end of one loop."""

    def __init__(self, loop: AbstractEventLoop, *, comes: Callable[[], object], went_on: Callable[[], object]) -> None:
        self._loop: Final = loop
        self._comes: Final = comes
        """Called in the loop when its end has come."""
        self._went_on: Final = went_on
        """Called when it was not the end."""
        self.is_near = False
        """Whether nothing may begin in the loop: its end has come, or all of its Tasks were just cancelled."""
        self.has_come = False
        self._has_looked = False
        """Whether it was asked in this turn of the loop who was cancelled."""
        self._dying = 0
        """How many Tasks were cancelled together, and have not ended."""
        self._listeners: Final[set[Listener]] = set()
        sentinel = _until_closed(weakref.ref(self))
        with suppress(StopIteration):
            sentinel.__anext__().send(None)  # as far as its `yield`: from now on it belongs to the loop that runs
        weakref.finalize(self, _close, sentinel).atexit = False

    # -- who wants to know ---------------------------------------------------------------------------------------------

    def tell(self, listener: Listener) -> None:
        """Tell `listener` once when the end comes; callable in any thread. Who comes too late looks at `has_come`."""
        self._listeners.add(listener)

    def forget(self, listener: Listener) -> None:
        """Do not tell it any more; callable in any thread."""
        self._listeners.discard(listener)

    def come(self) -> None:
        """The loop is about to close, or was closed."""
        if not self.has_come:
            self.is_near = self.has_come = True
            serve_each((self._comes,), lambda comes: comes(), "leaving an event loop")
        listeners = list(self._listeners)
        self._listeners.clear()
        serve_each(listeners, lambda listener: listener.loop_ended(), "telling that an event loop ends")

    def come_if_closed(self) -> None:
        """The same where the loop was closed without a word."""
        if self._loop.is_closed():
            self.come()

    # -- whether it is near --------------------------------------------------------------------------------------------

    def suspect(self, ours: Collection[Any]) -> None:
        """Somebody else has cancelled a Task: look whether all were cancelled, but for those of `ours`, which are new."""
        if self.is_near or self._has_looked:
            return
        self._has_looked = True
        tasks: list[Task[Any]] = [task for task in all_tasks(self._loop) if task not in ours]
        if tasks and all(task.cancelling() for task in tasks):
            self.is_near, self._dying = True, len(tasks)
            for task in tasks:
                task.add_done_callback(self._one_has_ended)
            self._loop.call_later(LONGEST_SECONDS, self._go_on)
        else:
            self._loop.call_later(LAST_MOMENTS_SECONDS, self._went_on)
        self._loop.call_soon(self._look_again)

    def _look_again(self) -> None:
        self._has_looked = False

    def _one_has_ended(self, _task: object) -> None:
        self._dying -= 1
        if not self._dying:
            self._loop.call_later(LAST_MOMENTS_SECONDS, self._go_on)

    def _go_on(self) -> None:
        if self.is_near and not self.has_come:
            self.is_near = False
            self._went_on()


async def _until_closed(end: "weakref.ref[LoopEnd]") -> AsyncGenerator[None]:
    try:
        yield
    finally:
        known = end()
        if known is not None:
            known.come()


def _close(sentinel: AsyncGenerator[None]) -> None:
    """Close it at once: a loop would make a Task of that."""
    with suppress(StopIteration, RuntimeError):
        sentinel.aclose().send(None)
