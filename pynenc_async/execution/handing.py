"""Bodies that run elsewhere, in the midst of something that runs on the loop: middleware, resources.

**Theory of operation.** A task that is surrounded by something is begun by a carrier, on the loop, wherever its body
runs: in the words of the scheduler it is RUNNING from then on, and holds a slot of its place. When its turn has come, the
body is handed to that place, as any other would be; only the report of its end comes back here in place of ending the
invocation. Until then the place drives the invocation (`Record._driver`): what it awaits in its thread pauses it as ever.
Whoever is cancelled while the body is away passes that on, and waits for the real end.
"""

from asyncio import CancelledError, Future, get_running_loop
from collections.abc import Mapping
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Final

from pynenc_async.execution.plain import returned
from pynenc_async.execution.stream import drive_stream
from pynenc_async.function import FunctionKind
from pynenc_async.record import Record

_STREAM: Final = FunctionKind.STREAM
_COROUTINE: Final = FunctionKind.COROUTINE


async def run_body(record: Record, injected: Mapping[str, Any]) -> Any:
    """Run the function itself, where it belongs, and return what it returns."""
    function = record._task.function
    if record._task.place is not None:
        body: Any = _run_at_place(record, injected)
    else:
        body = function.call(*record._values, **injected)
        if function.kind is _STREAM:
            body = drive_stream(record, body)
        elif function.kind is not _COROUTINE:
            return returned(function, body)  # a def on the loop, or in a synchronous app, which has no places
    del record  # a failure keeps this frame alive, and the frame must not keep the invocation
    return await body


async def _run_at_place(record: Record, injected: Mapping[str, Any]) -> Any:
    hand_off = HandOff(record, injected)
    del record
    try:
        hand_off.begin()
        cancelled = await hand_off.until_over()
        value = hand_off.result()
        if cancelled is not None:
            raise cancelled
        return value
    finally:
        del hand_off


class HandOff:
    """A body that is away."""

    __slots__ = ("_carrier", "_driver", "_outcome", "_record", "_returned", "_waiter", "context", "injected")

    def __init__(self, record: Record, injected: Mapping[str, Any]) -> None:
        self._record: Record | None = record
        """None once the body is back, or is waited for no longer."""
        self._carrier: Final[Any] = record._driver
        self._driver: Any = None
        """What drives the body at its place."""
        self.context: Final[Context] = copy_context()
        """In which it runs: it sees what was set around it."""
        self.injected: Final = injected
        self._waiter: Future[None] | None = None
        self._returned = False
        self._outcome: Any = None

    def begin(self) -> None:
        """Hand the body to its place."""
        record: Any = self._record
        record.need_more().handed = self
        record._task.place.start(record)
        self._driver = record._driver

    def deliver(self, outcome: object, *, returned: bool) -> None:
        """The body has ended; called where its invocation would have ended."""
        record: Any = self._record
        record._more.handed = None
        record._driver = self._carrier
        self._returned, self._outcome = returned, outcome
        self._wake()

    def cancel(self, reason: str) -> None:
        """Ask the body to stop; if it has not begun, it never will."""
        if self._driver.revoke():
            self.deliver(CancelledError(reason), returned=False)
        else:
            self._driver.cancel(reason)

    def abandon(self) -> None:
        """The invocation has ended without its body."""
        self._driver.revoke()
        self._outcome = CancelledError("its invocation was abandoned")
        self._wake()

    @property
    def _is_away(self) -> bool:
        return self._record is not None

    def _wake(self) -> None:
        self._record = None
        if self._waiter is not None and not self._waiter.done():
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                self._waiter.set_result(None)

    async def until_over(self) -> CancelledError | None:
        """Wait for the end of the body; return the cancellation of the wait, if there was one."""
        cancelled: CancelledError | None = None
        while self._is_away:
            self._waiter = get_running_loop().create_future()
            try:
                await self._waiter
            except CancelledError as error:
                cancelled = error
                if self._is_away:
                    self.cancel(str(error))
        return cancelled

    def result(self) -> Any:
        """Return what the body returned, or raise what it raised."""
        outcome, self._outcome = self._outcome, None
        if self._returned:
            return outcome
        try:
            raise outcome
        finally:
            del self, outcome
