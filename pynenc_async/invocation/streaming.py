"""One reader of the items of an async generator task."""

from asyncio import AbstractEventLoop
from typing import Any, Final, Generic, NoReturn, Self, TypeVar

from pynenc_async.errors import StreamTruncatedError
from pynenc_async.execution.stream import Stream, stream_of
from pynenc_async.invocation.waiting import Signal, current_body, suspend
from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus
from pynenc_async.user_errors import translated

Item = TypeVar("Item")


def elsewhere(invocation_id: str) -> StreamTruncatedError:
    """Return the error of a reader in a process that does not run the body."""
    message = f"the items of {invocation_id} are not stored: only the process that runs it has them"
    return StreamTruncatedError(invocation_id, f"{message}; read them there, or let the body return a list")


class InvocationStream(Generic[Item]):
    """An async iterator over the items. It owns nothing: `break` leaks nothing and cancels nothing.

    The body is held back for a slow reader as long as the reader exists; dropping or closing the reader frees the body.
    Ends when the generator ends; raises what the generator raised. When an attempt fails and is retried, the next one gives
    its items after those of the first: readers see what both have yielded.
    """

    def __init__(self, invocation: Any, *, from_start: bool) -> None:
        self._invocation: Final[Any] = invocation
        self._stream: Final[Stream] = stream_of(invocation)
        stream = self._stream
        if from_start and stream.first > 0:
            message = f"the first {stream.first} items of {invocation.invocation_id} are no longer in the buffer"
            raise StreamTruncatedError(invocation.invocation_id, message + "; read with stream(from_start=False)")
        self._position = 0 if from_start else stream.end
        stream.move_reader(id(self), self._position)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        stream = self._stream
        while self._position >= stream.end:
            if stream.closed:
                self._stop()
            await _NextItem(self._invocation, stream)
        item: Item = stream.items[self._position - stream.first]
        self._position += 1
        stream.move_reader(id(self), self._position)
        return item

    def _stop(self) -> NoReturn:
        self.close()
        if self._invocation._ended_at is None:  # it was given away; first of all, this may be another loop
            self._invocation._task.runtime.require_own_loop(self._invocation)
            raise elsewhere(self._invocation.invocation_id)
        if self._invocation.status is not InvocationStatus.SUCCESS:
            raise translated(self._invocation._failure())
        raise StopAsyncIteration

    def close(self) -> None:
        """Stop reading: the body no longer waits for this reader."""
        self._stream.move_reader(id(self), None)

    async def aclose(self) -> None:
        """Stop reading, as `contextlib.aclosing` asks an async generator."""
        self.close()

    def __del__(self) -> None:
        self.close()


class _NextItem:
    """Awaits the next item, or the end, as an await of the invocation: a body that reads gives its slot away."""

    def __init__(self, record: Record, stream: Stream) -> None:
        self._record: Final = record
        self._stream: Final = stream

    def __await__(self) -> Any:
        record = self._record
        loop: AbstractEventLoop = record._task.runtime.require_own_loop(record)
        body = current_body()
        signal = Signal(loop, body)
        self._stream.when_item(signal)
        try:
            yield from suspend(signal, (record,), body)
        finally:
            self._stream.forget(signal)
