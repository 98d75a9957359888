"""What a journal is made of: the entries, which are plain data, and the invocations that answer calls."""

from asyncio.events import _get_running_loop
from collections.abc import Callable, Generator
from enum import StrEnum
from functools import partial
from typing import Any, Final

import msgspec

from pynenc_async.arguments import same_values, show
from pynenc_async.errors import InvocationCancelledError
from pynenc_async.function import FunctionKind, Values
from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus
from pynenc_async.user_errors import cause_of, context_of, members_of

_SUCCESS: Final = InvocationStatus.SUCCESS


class EntryKind(StrEnum):
    """What was asked for."""

    CALL = "call"
    UUID4 = "uuid4"
    RANDOM = "random"
    NOW = "now"


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request of a workflow, and the answer."""

    index: int
    kind: EntryKind
    value: str | float | None = None
    """The value that was drawn: the text of a UUID, a number, seconds since the epoch."""
    task_id: str | None = None
    """The task that was called."""
    invocation_id: str | None = None
    """The invocation that answers the call; its arguments and its outcome are its own."""


class Child:
    """The invocation that answers a recorded call; told of its end, as a `Waiter`."""

    __slots__ = (
        "_index", "_position", "_watched", "dealt_with", "ended_before", "handle", "record", "task_id", "values",
    )  # fmt: skip

    def __init__(self, position: Callable[[], int], index: int, task_id: str, values: Values) -> None:
        self._position: Final = position
        self._index: Final = index
        self._watched = False
        self.task_id: Final = task_id
        self.values: Final = values
        self.handle: Any = None
        """What the call gave."""
        self.record: Any = None
        """The record behind the handle: another call's, where this one was a duplicate of it."""
        self.ended_before: int | None = None
        """Which request was the next one when it ended."""
        self.dealt_with = False
        """Whether the body went on after it had failed."""

    @property
    def has_failed(self) -> bool:
        """Whether it has ended, in any way but success."""
        return self.record._ended_at is not None and self.record._status is not _SUCCESS

    def watch(self, record: Record) -> None:
        """Hear of the end of `record`; called in the loop of its app, or before anybody else knows the record."""
        self._watched = True
        if record._task.function.kind is FunctionKind.STREAM:
            return  # whoever waits for its end is taken for somebody who does not care for its items
        if record._ended_at is None:
            record.add_waiter(self)
        else:
            self.notify(record)

    def notify(self, record: Record, /) -> None:
        """Note how far the workflow had come."""
        del record
        self.ended_before = max(self._position(), self._index + 1)

    def submitted(self, handle: Any) -> None:
        """The call has given this handle."""
        self.handle = handle
        self.record = record = handle if isinstance(handle, Record) else handle.original
        runtime = record._task.runtime
        runtime.keep_findable(record)
        if self._watched:
            return
        if runtime.scheduler is None or _get_running_loop() is runtime.loop:
            self.watch(record)
        else:
            runtime.call_in_loop(partial(self.watch, record))

    def led_to(self, error: BaseException) -> bool:
        """Whether an error is the one with which it ended."""
        if isinstance(error, InvocationCancelledError):
            return bool(error.invocation_id == self.record.invocation_id)
        return error is self.record._outcome

    def __str__(self) -> str:
        return describe_call(self.task_id, self.values)


def same_call_values(recorded: Values, asked: Values) -> bool:
    """Whether two sets of arguments are the same: as they are encoded, or by `==`."""
    if same_values(recorded, asked):
        return True
    try:
        return bool(recorded == asked)  # values that JSON cannot carry, and that know when they are equal
    except Exception:  # noqa: BLE001  user code
        return False


def describe_call(task_id: str, values: Values) -> str:
    """Name a call in a message."""
    return f"{task_id}({', '.join(map(show, values))})"


def causes_of(error: BaseException) -> Generator[BaseException]:
    """Yield an error and all that led to it."""
    waiting, seen = [error], {id(error)}
    while waiting:
        one = waiting.pop()
        yield one
        for source in (cause_of(one), context_of(one), *members_of(one)):
            if source is not None and id(source) not in seen:
                seen.add(id(source))
                waiting.append(source)
