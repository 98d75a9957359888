"""Finding invocations by what is known of them, a page at a time: the same question to memory and to a store."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final, cast

from pynenc_async.codec import encode
from pynenc_async.errors import SerializationError
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.option_rules import did_you_mean
from pynenc_async.record import Record, TaskRecord
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Query, spellings

_SUCCESS: Final = InvocationStatus.SUCCESS
Handle = DistributedInvocation[Any, Any]
Span = tuple[datetime | None, datetime | None]
"""From a moment (included) to another one; None: without such an end."""
Statuses = InvocationStatus | str | Iterable[InvocationStatus | str] | None
"""One status, or several, as members of the enum or by name; None: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationPage:
    """A part of what was found."""

    invocations: tuple[Handle, ...]
    next: str | None
    """Give it as `after` to get the following page; None on the last."""


def as_query(
    statuses: tuple[InvocationStatus, ...],
    task_ids: tuple[str, ...],
    parent: str | None,
    text: str,
    registered: Span,
    ended: Span,
    *,
    newest_first: bool,
    limit: int,
    after: str | None,
) -> Query:
    """Return the question for a page of the invocations that fit all that is given.

    Raises:
        ValueError: `limit` is not a number of 1 or more.
    """
    if type(limit) is not int or limit < 1:
        raise ValueError(f"limit must be an integer of 1 or more, not {limit!r}")
    registered_from, registered_before, ended_from, ended_before = (
        None if moment is None else moment.timestamp() for moment in (*registered, *ended)
    )
    return Query(
        statuses=statuses,
        task_ids=task_ids,
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


def statuses_of(wanted: Statuses) -> tuple[InvocationStatus, ...]:
    """Return the statuses that are meant: members of the enum, or their names, in any case.

    Raises:
        ValueError: One is no status; it names it, and the one that was probably meant.
    """
    return tuple(map(_status, _several(wanted)))


def _several(wanted: object) -> Iterable[object]:
    if wanted is None:
        return ()
    return (
        (wanted,) if isinstance(wanted, str) or not isinstance(wanted, Iterable) else cast("Iterable[object]", wanted)
    )


def _status(wanted: object) -> InvocationStatus:
    names = {status.value: status for status in InvocationStatus}
    found = names.get(wanted.lower()) if isinstance(wanted, str) else None
    if found is None:
        known = did_you_mean(str(wanted), names) or f"; there are {', '.join(names)}"
        raise ValueError(f"status={wanted!r} is no status{known}")
    return found


def task_ids_of(wanted: TaskRecord | str | None, known: Mapping[str, Any], *, others_exist: bool) -> tuple[str, ...]:
    """Return the ids of the task that is meant: a task, an id of it, or the name of its function where one alone has it.

    `known`: tasks by their ids, and by those that they had before; invocations may be stored under each of them.

    `others_exist`: whether there may be invocations of tasks that are not known here, which are found by their whole id.

    Raises:
        ValueError: The text names no task, or several.
    """
    if wanted is None:
        return ()
    if not isinstance(wanted, str):
        return wanted.function.ids
    if wanted in known:
        return tuple(known[wanted].function.ids)
    named = {known[task_id].task_id for task_id in known if task_id.endswith(f".{wanted}")}
    if len(named) == 1:
        return tuple(known[named.pop()].function.ids)
    if named:
        raise ValueError(f"task={wanted!r} may be each of {', '.join(sorted(named))}; give the whole id")
    if others_exist and "." in wanted:
        return (wanted,)
    names = [*known, *(task_id.rpartition(".")[2] for task_id in known)]
    raise ValueError(f"task={wanted!r} is no task of this app{did_you_mean(wanted, names)}")


def find_in_memory(records: Iterable[Record], query: Query) -> InvocationPage:
    """Return a page of the records that fit; they come in the order of the query, and behind its `after`.

    A page reads no further than to the first record that is not on it.
    """
    fitting = (handle for handle in cast("Iterable[Handle]", records) if _fits(handle, query))
    page = tuple(islice(fitting, query.limit))
    is_last = next(fitting, None) is None
    return InvocationPage(invocations=page, next=None if is_last else str(page[-1]._number))


def number_after(query: Query) -> int | None:
    """Return the number behind which a page of `find_in_memory` begins.

    Raises:
        ValueError: `after` is not the `next` of a page.
    """
    if query.after is None:
        return None
    if not (query.after.isascii() and query.after.isdecimal()):
        raise ValueError(f"after={query.after!r} is not the `next` of a page")
    return int(query.after)


def _fits(handle: Handle, query: Query) -> bool:
    return (
        (not query.statuses or handle.status in query.statuses)
        and (not query.task_ids or handle._task.task_id in query.task_ids)
        and (query.parent_invocation_id is None or handle.parent_invocation_id == query.parent_invocation_id)
        and _within(handle._registered_at, query.registered_from, query.registered_before)
        and _within(handle._ended_at, query.ended_from, query.ended_before)
        and (not query.text or _mentions(handle, query.text))
    )


def _within(moment: float | None, first: float | None, before: float | None) -> bool:
    if first is None and before is None:
        return True
    return moment is not None and (first is None or moment >= first) and (before is None or moment < before)


def _mentions(handle: Handle, text: str) -> bool:
    words = _words(handle).casefold()
    return any(needle in words for needle in spellings(text))


def _words(handle: Handle) -> str:
    """Return what an invocation says in JSON; of what cannot be written down, as much as can."""
    with suppress(SerializationError):
        return handle.to_json()
    words = [handle._task.task_id]
    with suppress(SerializationError):
        words += handle.serialized_arguments.values()
    if handle._status is _SUCCESS:
        with suppress(SerializationError):
            words.append(encode(handle._outcome, field="result").decode())
    return " ".join(words)
