"""SIGINT and SIGTERM while `app.run` runs: the first one asks for an orderly end, the second one ends it at once."""

import asyncio
import importlib.util
import inspect
import signal
import threading
from asyncio.tasks import _unregister_task  # documented for those who extend asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final, TypeVar, cast

import anyio

from pynenc_async.execution.carrier import Carrier
from pynenc_async.telemetry import log

Result = TypeVar("Result")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_KILLED_BY: Final = 128
"""What a shell adds to the number of the signal that ended a process."""


class Interruption:
    """Runs `main` until it returns, or until a signal cancels it."""

    def __init__(self, stop: Callable[[], None], stop_now: Callable[[], None]) -> None:
        self._stop: Final = stop
        self._stop_now: Final = stop_now
        self._main: asyncio.Task[Any] | None = None
        self.received: signal.Signals | None = None

    async def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """Return what `main` returns; a signal cancels it."""
        self._main = task = asyncio.create_task(main)
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()  # by us, or by whoever runs the loop
            raise

    def receive(self, number: signal.Signals) -> None:
        """A signal has come."""
        if self.received is None:
            self.received = number
            self._stop()
            if self._main is not None:
                self._main.cancel()
            log.warning("%s: the app shuts down; once more, and it stops at once", number.name)
        else:
            self._stop_now()
            log.warning("%s again: the app stops at once", number.name)

    def raise_it(self) -> None:
        """End the program as the signal that cancelled `main` would have."""
        if self.received is signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise SystemExit(_KILLED_BY + self.received)

    @contextmanager
    def listening(self) -> Generator[None]:
        """Listen as long as the block lasts, where that is possible: in the main thread, on a loop that can."""
        loop = asyncio.get_running_loop()
        handled: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                try:
                    loop.add_signal_handler(number, self.receive, number)
                except NotImplementedError:  # Windows
                    break
                handled[number] = before
        try:
            yield
        finally:
            for number, before in handled.items():
                loop.remove_signal_handler(number)  # which leaves the default
                if before is not None:  # else it is not Python's, and cannot be put back
                    signal.signal(number, before)


def run_interruptible(
    app: AbstractAsyncContextManager[object],
    main: Callable[[], Awaitable[Result]] | Coroutine[Any, Any, Result],
    stop: Callable[[], None],
    stop_now: Callable[[], None],
) -> Result:
    """Run `main` inside `app` in a new event loop, and end as the signal says that came meanwhile."""
    interruption = Interruption(stop, stop_now)

    async def call_main() -> Result:
        return await (main if inspect.iscoroutine(main) else cast("Callable[[], Awaitable[Result]]", main)())

    async def whole() -> Result:
        with interruption.listening():
            try:
                async with app:
                    return await interruption.run(call_main())
            finally:
                _leave_the_abandoned()

    try:
        return anyio.run(whole, backend="asyncio", backend_options={"use_uvloop": _has_uvloop()})
    except (asyncio.CancelledError, KeyboardInterrupt):
        interruption.raise_it()
        raise


def _leave_the_abandoned() -> None:
    """Let the loop end without the bodies that ignored their cancellation: it would wait for them."""
    for task in asyncio.all_tasks():
        if isinstance(task.get_coro(), Carrier):
            _unregister_task(task)


def _has_uvloop() -> bool:
    return importlib.util.find_spec("uvloop") is not None
