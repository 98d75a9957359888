"""The items of an async generator task that runs inline."""

import asyncio
from asyncio.events import _get_running_loop
from collections.abc import Iterator
from typing import Any, Final, Generic, Self, TypeVar

from pynenc_async.errors import InvocationNotFinalError
from pynenc_async.invocation.streaming import InvocationStream
from pynenc_async.invocation.synchronous.waits import waiting
from pynenc_async.invocation.waiting import Signal

Item = TypeVar("Item")


class SynchronousStream(Generic[Item]):
    """The items: `async for` inside an event loop, a plain `for` where there is none. The first read runs the body.

    Leaving an `async for` early cancels nothing. A plain `for` runs the body in a loop that lasts as long as itself:
    when it is left early, an invocation that has not ended is cancelled.
    """

    def __init__(self, invocation: Any, *, from_start: bool) -> None:
        self._invocation: Final[Any] = invocation
        self._reader: Final[InvocationStream[Item]] = InvocationStream(invocation, from_start=from_start)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        invocation, stream = self._invocation, self._reader._stream
        invocation._start()
        while not self._at_hand():
            signal = Signal(invocation._task.runtime.require_own_loop(invocation), None)
            stream.when_item(signal)
            with waiting(invocation):
                await signal.future
        try:
            return await anext(self._reader)
        except StopAsyncIteration:
            await invocation._task.runtime.follow_up()
            raise

    def _at_hand(self) -> bool:
        """Whether the next item, or the end, need not be waited for."""
        stream = self._reader._stream
        return stream.closed or self._reader._position < stream.end

    def __iter__(self) -> Iterator[Item]:
        if _get_running_loop() is not None:
            raise InvocationNotFinalError(
                self._invocation.invocation_id, "inside the event loop, read the items with `async for`"
            )
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            while True:
                try:
                    item = runner.run(self.__anext__())
                except StopAsyncIteration:
                    return
                try:
                    yield item
                except GeneratorExit:
                    runner.run(self._invocation.cancel("the plain loop over its items was left"))
                    raise

    def close(self) -> None:
        """Stop reading: the body no longer waits for this reader."""
        self._reader.close()

    async def aclose(self) -> None:
        """Stop reading, as `contextlib.aclosing` asks an async generator."""
        self.close()
