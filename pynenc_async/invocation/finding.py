"""Finding invocations by what is known of them, a page at a time: the same question to memory and to a store."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from pynenc_async.errors import SerializationError
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.record import Record, TaskRecord
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Query

Handle = DistributedInvocation[Any, Any]
Span = tuple[datetime | None, datetime | None]
"""From a moment (included) to another one; None: without such an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationPage:
    """A part of what was found."""

    invocations: tuple[Handle, ...]
    next: str | None
    """Give it as `after` to get the following page; None on the last."""


def as_query(
    status: InvocationStatus | Iterable[InvocationStatus] | None,
    task: TaskRecord | None,
    parent: str | None,
    text: str,
    registered: Span,
    ended: Span,
    *,
    newest_first: bool,
    limit: int,
    after: str | None,
) -> Query:
    """Return the question for a page of the invocations that fit all that is given."""
    registered_from, registered_before, ended_from, ended_before = (
        None if moment is None else moment.timestamp() for moment in (*registered, *ended)
    )
    return Query(
        statuses=(status,) if isinstance(status, InvocationStatus) else tuple(status or ()),
        task_ids=() if task is None else (task.task_id,),
        parent_invocation_id=parent,
        text=text,
        registered_from=registered_from,
        registered_before=registered_before,
        ended_from=ended_from,
        ended_before=ended_before,
        newest_first=newest_first,
        limit=limit,
        after=after,
    )


def find_in_memory(records: Iterable[Record], query: Query) -> InvocationPage:
    """Return a page of the records that fit. `records` are the living and retained ones, oldest first."""
    found = [cast(Handle, record) for record in records if _fits(cast(Handle, record), query)]
    if query.newest_first:
        found.reverse()
    if query.after is not None:
        last = int(query.after)
        found = [one for one in found if (one._number < last if query.newest_first else one._number > last)]
    page = tuple(found[: query.limit])
    return InvocationPage(invocations=page, next=str(page[-1]._number) if len(found) > query.limit else None)


def _fits(handle: Handle, query: Query) -> bool:
    return (
        (not query.statuses or handle.status in query.statuses)
        and (not query.task_ids or handle._task.task_id in query.task_ids)
        and (query.parent_invocation_id is None or handle.parent_invocation_id == query.parent_invocation_id)
        and _within(handle._registered_at, query.registered_from, query.registered_before)
        and _within(handle._ended_at, query.ended_from, query.ended_before)
        and (not query.text or _mentions(handle, query.text.casefold()))
    )


def _within(moment: float | None, first: float | None, before: float | None) -> bool:
    if first is None and before is None:
        return True
    return moment is not None and (first is None or moment >= first) and (before is None or moment < before)


def _mentions(handle: Handle, text: str) -> bool:
    try:
        words = handle.to_json()
    except SerializationError:
        words = str(handle)
    return text in words.casefold()
