"""What has happened and must still be told: in the loop, in order, after the decision that made it is complete."""

import threading
from asyncio import AbstractEventLoop
from asyncio.events import _get_running_loop
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Final, Generic, TypeVar

from pynenc_async.guard import serve_each

News = TypeVar("News")


class Backlog(Generic[News]):
    """News for one listener. What one loop could not tell, the next one does."""

    def __init__(self, tell: Callable[[News], object]) -> None:
        self._tell: Final = tell
        self._news: Final[deque[News]] = deque()
        self._loop: AbstractEventLoop | None = None
        self._called = False
        self._telling = threading.Lock()

    def bind(self, loop: AbstractEventLoop) -> None:
        """Tell in `loop` from now on, beginning with what could not be told in the one before."""
        self._loop, self._called = loop, False
        if self._news:
            self._call_soon()

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._news)

    def put(self, news: News) -> None:
        """Tell it soon; callable in any thread."""
        self._news.append(news)
        if not self._called:
            self._call_soon()

    def clear(self) -> None:
        """Tell nothing of what has happened so far, in a forked child: the parent tells it."""
        self._news.clear()
        self._telling = threading.Lock()
        self._loop, self._called = None, False

    def work_off(self) -> None:
        """Tell everything now, in the loop. Called by a listener it does nothing: the news come when their turn has come."""
        self._called = False
        while self._news and self._telling.acquire(blocking=False):
            try:
                Context().run(self._tell_all)  # whoever caused the news, or asks for them, is not who is told
            finally:
                self._telling.release()

    def _tell_all(self) -> None:
        while self._news:
            serve_each((self._news.popleft(),), self._tell, "telling what has happened")

    def _call_soon(self) -> None:
        loop = self._loop
        if loop is None:
            return
        call_soon = loop.call_soon if _get_running_loop() is loop else loop.call_soon_threadsafe
        with suppress(RuntimeError):  # closed: the next loop tells it
            self._called = True  # first: another thread may be about to ask as well
            call_soon(self.work_off)
            return
        self._called = False
