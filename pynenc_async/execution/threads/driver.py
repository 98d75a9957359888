"""A body on its way to a thread, or in one."""

import threading
from collections.abc import Mapping
from contextvars import Context
from typing import Any, Final, Protocol

from pynenc_async.clock import ThreadTurn
from pynenc_async.context import LEFT_BEHIND
from pynenc_async.execution.desk import Desk
from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus

_PENDING: Final = InvocationStatus.PENDING
_RUNNING: Final = InvocationStatus.RUNNING

Body = tuple[Record, Context, Mapping[str, Any]]
"""What to run, in which context, and what is injected."""


class Blocked(Protocol):
    """A wait inside a thread that can be broken off."""

    def interrupt(self) -> None:
        """Make the wait raise `CancelledError` in the thread."""
        ...


class ThreadDriver:
    """What the scheduler holds of it. In a thread it cannot be stopped, but a wait for others can be broken off."""

    __slots__ = (
        "_beginning",
        "_body",
        "abandoned",
        "began",
        "blocked",
        "cancelled",
        "is_over",
        "is_timed",
        "runs",
        "thread_id",
        "turn",
    )

    def __init__(self, record: Record, context: Context, injected: Mapping[str, Any]) -> None:
        self._beginning: Final = threading.RLock()
        """Held while the body is begun or revoked: whoever comes second sees what the first has done."""
        self._body: Body | None = (record, context, injected)
        """None from the moment in which a thread begins it, or somebody revokes it."""
        self.cancelled = False
        """Whether the body's next wait for others is to be broken off."""
        self.is_timed = False
        """Whether it matters how long the body takes."""
        self.began: float | None = None
        """When a body with a timeout has begun in its thread, on a clock that nobody sets."""
        self.runs = False
        """Whether the body is under way in its thread."""
        self.thread_id = 0
        self.turn: ThreadTurn | None = None
        """In simulations, what the thread waits for before it goes on."""
        self.blocked: Blocked | None = None
        """The wait for others in which the body is."""
        self.is_over = False
        self.abandoned = False
        """Whether nobody waits for it any more, and another thread has taken the place of its own."""

    def begin(self, desk: Desk) -> Body | None:
        """Make the invocation RUNNING, in the thread that will run it, and return what to run; None if it was revoked."""
        with self._beginning:
            body, self._body = self._body, None
            if body is not None:
                self.thread_id = threading.get_ident()  # first: what is seen to run may be abandoned at once
                self.runs = True
            if body is not None and body[0]._status is _PENDING:  # else it was begun on the loop, and handed on
                record = body[0]
                record._started_at = now = desk.clock()
                if self.is_timed:
                    self.began = desk.passed()
                if record._more is not None:
                    desk.note_at(now, record, _RUNNING, record._retries + 1)
                record._status = _RUNNING
        return body

    def take_back(self) -> Record | None:
        """Revoke the body, and return its invocation, to be queued again; None if it is over, begun, or must not wait.

        So it is where another body awaits its end, where something on the loop surrounds it, which has begun, and where a
        store may have it as begun.
        """
        with self._beginning:
            body = self._body
            if body is None or not _may_wait(body[0]):
                return None
            self._body = None
        return body[0]

    def revoke(self) -> bool:
        """Take the body back before it begins; say whether that was possible."""
        with self._beginning:
            body, self._body = self._body, None
        return body is not None

    def cancel(self, reason: str) -> None:
        """Break off the wait in which the body is, if it is in one."""
        del reason
        if self.blocked is None:
            self.cancelled = True
        else:
            self.blocked.interrupt()

    def insist(self) -> bool:
        """A thread cannot be stopped."""
        return False

    def leave_behind(self) -> bool:
        """Leave the body to itself, unless it has ended, or waits for others, which is broken off."""
        with self._beginning:
            left = self.runs and self.blocked is None
            if left:
                LEFT_BEHIND.add(self.thread_id)
        return left

    def end(self) -> None:
        """Note, in the thread, that the body has ended."""
        with self._beginning:
            self.runs = False
            LEFT_BEHIND.discard(self.thread_id)


def _may_wait(record: Record) -> bool:
    is_stored = record._more is not None and record._more.is_stored
    return record._status is _PENDING and not is_stored and not record.is_awaited_by_body()
