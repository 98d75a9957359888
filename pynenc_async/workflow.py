"""Deterministic workflows: a body that is run again after a failure goes on where it was.

    @app.task(workflow=True, max_retries=5)
    async def order(item: str) -> str:
        key = workflow.uuid4()  # the same in every attempt
        paid = await charge(item, key)  # not charged again when `ship` fails
        return await ship(paid)

With `workflow=True`, what the body asks for is recorded in order: the calls it makes itself (one by one, in groups, from
asyncio Tasks or threads that it started), and the values it draws here. Another attempt runs the body from its first
line, and gives it the same answers: an invocation that succeeded, or is still under way, is not submitted again.

* The body must ask for the same things in the same order: whatever differs from one attempt to the next (the time,
  random numbers, results of the outside world) has to come from here or from a child. A request that differs from the
  recorded one raises `WorkflowNondeterminismError`, which is not retried. Asking for less is allowed.
  What Tasks and threads do side by side has no order: let the body make the calls, and them await the handles.
* A child whose failure made the attempt fail is run again, and from there on the body may go another way. A child whose
  failure the body dealt with, by `except` for instance, before it asked for something else, is part of its history and
  fails the same way in each attempt.
* An attempt that times out takes the children that are under way with it, as always; the next one runs them again.
* Arguments are compared as they are encoded, or by `==` where they cannot be; they must not be changed after the call.
* The record lives as long as the invocation, in memory.
"""

import random as _random
import uuid as _uuid
from datetime import UTC as _UTC
from datetime import datetime as _datetime
from typing import Any

from pynenc_async.clock import randomness_of, wall_clock_of
from pynenc_async.context import CURRENT
from pynenc_async.errors import NotInWorkflowError
from pynenc_async.journal import journal_of
from pynenc_async.journal_entries import EntryKind, JournalEntry
from pynenc_async.record import Record

__all__ = ["JournalEntry", "is_replaying", "journal", "now", "random", "uuid4"]


def uuid4() -> _uuid.UUID:
    """Return a random UUID, the same in every attempt. Raises `NotInWorkflowError` outside of a workflow's body."""
    record = _workflow("uuid4")
    value = journal_of(record).draw(
        record, EntryKind.UUID4, lambda: str(_uuid.UUID(int=_source(record).getrandbits(128), version=4))
    )
    return _uuid.UUID(str(value))


def random() -> float:
    """Return a number from 0 (included) to 1 (excluded), the same in every attempt; raises like `uuid4`."""
    record = _workflow("random")
    return float(journal_of(record).draw(record, EntryKind.RANDOM, lambda: _source(record).random()))


def now() -> _datetime:
    """Return the present time of day in UTC: when the first attempt asked for it. Raises like `uuid4`."""
    record = _workflow("now")
    seconds = journal_of(record).draw(record, EntryKind.NOW, wall_clock_of(_loop_of(record)))
    return _datetime.fromtimestamp(float(seconds), _UTC)


def is_replaying() -> bool:
    """Whether the next request repeats one of an earlier attempt; keeps a log from saying things twice. Raises like `uuid4`."""
    return journal_of(_workflow("is_replaying")).replaying


def journal() -> tuple[JournalEntry, ...]:
    """Return what was recorded so far, by all attempts. Raises like `uuid4`."""
    return tuple(journal_of(_workflow("journal")).entries)


def _workflow(asked: str) -> Record:
    record: Record | None = CURRENT.get()
    if record is None or record._ended_at is not None:
        raise NotInWorkflowError(asked, None)
    if not record._task.options.workflow:
        raise NotInWorkflowError(asked, record._task.task_id)
    return record


def _loop_of(record: Record) -> Any:
    runtime = record._task.runtime
    return None if runtime.scheduler is None else runtime.loop  # a synchronous app has no loop of its own


def _source(record: Record) -> _random.Random:
    return randomness_of(_loop_of(record))
