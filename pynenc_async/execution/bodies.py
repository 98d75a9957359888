"""Bodies one after another, in one generator."""

import types
from collections.abc import Generator
from typing import Any, Final, Protocol

from pynenc_async.context import CURRENT
from pynenc_async.execution.plain import returned
from pynenc_async.execution.stream import drive_stream
from pynenc_async.function import FunctionKind
from pynenc_async.record import Record

DONE: Final = object()
"""In place of something to await: the body has returned, or there is none."""
_STREAM: Final = FunctionKind.STREAM


class Holder(Protocol):
    """Who steps the generator."""

    value: Any
    """What the last body returned."""


@types.coroutine
def run_bodies(holder: Holder) -> Generator[Any, Any, None]:
    """Run one body after the other; each is sent in, and begins in the context in which that happens.

    A generator that goes on after a body returns takes the value without a `StopIteration`, which would cost as much as
    the rest of a no-op.
    """
    record: Any = yield
    while True:
        _set_current(record)
        function = record._task.function
        body: Any
        if function.is_plain:
            body = function.call(*record._values)
        elif function.drive is not None:
            body = function.drive(record)
        elif function.kind is _STREAM:
            body = drive_stream(record, function.call(*record._values))
        else:
            body = _give(record, function.call(*record._values))
        record = None
        holder.value = yield from body
        record = yield DONE


async def _give(record: Record, value: Any) -> Any:
    """Return what a `def` has returned that runs on the loop."""
    return returned(record._task.function, value)


_set_current: Final = CURRENT.set
