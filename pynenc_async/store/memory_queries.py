"""What the store in memory is asked about what it keeps, and how it forgets."""

from collections.abc import Callable, Collection, Iterator
from itertools import islice

from pynenc_async.errors import StoreError
from pynenc_async.pacing import LATE
from pynenc_async.status import InvocationStatus
from pynenc_async.store.memory_tables import OWNED, Tables, Transaction
from pynenc_async.store.values import Page, Query, Retention, StoredInvocation, StoredWait, spellings
from pynenc_async.store.waiting import Standing, Tour

_Place = tuple[float, str]
"""Where an invocation is in the order of a page: its registration, its id."""


def find(tables: Tables, query: Query) -> Page:
    """Return a page of what fits."""
    after = None if query.after is None else _read_place(query.after)
    rows = sorted(tables.invocations.values(), key=_place, reverse=query.newest_first)
    fitting = (row for row in rows if _comes_after(row, after, query) and _fits(row, query, tables))
    page = tuple(islice(fitting, max(query.limit, 0)))
    is_last = next(fitting, None) is None
    return Page(invocations=page, next=None if is_last or not page else _write_place(page[-1]))


def _place(row: StoredInvocation) -> _Place:
    return row.registered_at, row.invocation_id


def _write_place(row: StoredInvocation) -> str:
    return f"{row.registered_at!r} {row.invocation_id}"


def _read_place(text: str) -> _Place:
    moment, _, invocation_id = text.partition(" ")
    try:
        return float(moment), invocation_id
    except ValueError:
        raise StoreError(f"after={text!r} is not the `next` of a page") from None


def _comes_after(row: StoredInvocation, after: _Place | None, query: Query) -> bool:
    if after is None:
        return True
    return _place(row) < after if query.newest_first else _place(row) > after


def _fits(row: StoredInvocation, query: Query, tables: Tables) -> bool:
    return (
        (not query.statuses or row.status in query.statuses)
        and (not query.task_ids or row.task_id in query.task_ids)
        and query.parent_invocation_id in (None, row.parent_invocation_id)
        and (not query.parent_statuses or _status_of_parent(row, tables) in query.parent_statuses)
        and query.home in (None, row.home)
        and _is_between(row.registered_at, query.registered_from, query.registered_before)
        and _is_between(row.ended_at, query.ended_from, query.ended_before)
        and (not query.text or _mentions(row, query.text))
    )


def _status_of_parent(row: StoredInvocation, tables: Tables) -> InvocationStatus | None:
    parent = None if row.parent_invocation_id is None else tables.invocations.get(row.parent_invocation_id)
    return None if parent is None else parent.status


def _is_between(moment: float | None, first: float | None, end: float | None) -> bool:
    if first is None and end is None:
        return True
    return moment is not None and (first is None or first <= moment) and (end is None or moment < end)


def _mentions(row: StoredInvocation, text: str) -> bool:
    needles = spellings(text)
    return any(needle in written.casefold() for written in _texts(row) for needle in needles)


def _texts(row: StoredInvocation) -> Iterator[str]:
    yield row.task_id
    for data in (row.arguments, row.result, row.error):
        if data is not None:
            yield data.decode(errors="replace")


def purge(tables: Tables, transaction: Transaction, retention: Retention, now: float, limit: int) -> int:
    """Forget what exceeds the retention, but what is spared; say how many."""
    namers, standing = _living_namers(tables), tables.standing_until_later(now)
    ended = [
        (row.ended_at, row)
        for row in tables.invocations.values()
        if row.ended_at is not None and row.invocation_id not in tables.spared
    ]
    ended.sort(key=lambda entry: entry[0])
    left, size = len(ended), sum(_size(tables, row) for row in tables.invocations.values())
    forgotten = 0
    for ended_at, row in ended:
        exceeds = (
            (retention.seconds is not None and ended_at < now - retention.seconds)
            or (retention.count is not None and left > retention.count)
            or (retention.bytes is not None and size > retention.bytes)
        )
        if not exceeds or forgotten >= limit:
            break
        left -= 1
        if row.invocation_id in namers or row.invocation_id in standing:
            transaction.put(tables.spared, row.invocation_id, None)
            for namer in namers.get(row.invocation_id, ()):
                transaction.put(tables.sparing, namer, None)
            continue
        forgotten, size = forgotten + 1, size - _size(tables, row)
        _forget(tables, transaction, row.invocation_id)
    _sweep(tables, transaction, now)
    return forgotten


def _living_namers(tables: Tables) -> dict[str, list[str]]:
    """Return what the journals of invocations that have not ended name, and which these are."""
    namers: dict[str, list[str]] = {}
    for invocation_id, journal in tables.journals.items():
        if tables.invocations[invocation_id].ended_at is None:
            for _, name in journal:
                if name is not None:
                    namers.setdefault(name, []).append(invocation_id)
    return namers


def waits(tables: Tables, invocation_ids: Collection[str], is_alive: Callable[[str], bool]) -> list[StoredWait]:
    """Return what these wait for, and what that waits for."""

    def look(wanted: Collection[str]) -> dict[str, Standing[str]]:
        rows = filter(None, map(tables.invocations.get, wanted))
        return {row.invocation_id: _standing(tables, row, is_alive) for row in rows if _may_wait(row)}

    return Tour(look, lambda name: sorted(tables.holders.get(name, ())), str).go(invocation_ids)


def _may_wait(row: StoredInvocation) -> bool:
    return row.ended_at is None and row.cancel_reason is None


def _standing(tables: Tables, row: StoredInvocation, is_alive: Callable[[str], bool]) -> Standing[str]:
    number, said = tables.waits.get(row.invocation_id, (0, None))
    if said is None or row.status not in OWNED or not (is_alive(row.home) and tables.is_home(row.home, row)):
        return Standing(row.home, row.status in OWNED)
    needs = [[(other.invocation_id, other.permits) for other in need] for need in said.needs]
    return Standing(row.home, is_owned=True, needs=needs, number=number, refusable=said.refusable, seen=said.seen)


def _sweep(tables: Tables, transaction: Transaction, now: float) -> None:
    """Forget the stands and the rates that have had their time."""
    for key, stand in [(key, stand) for key, stand in tables.stands.items() if not stand.holds(now)]:
        transaction.drop(tables.stands, key)
        transaction.drop(tables.spared, stand.invocation_id)
    for name in [name for name, starts in tables.buckets.items() if starts.until + LATE <= now]:
        transaction.drop(tables.buckets, name)


def _size(tables: Tables, row: StoredInvocation) -> int:
    journal = (entry for entry, _ in tables.journals.get(row.invocation_id, ()))
    return sum(len(data) for data in (row.arguments, row.options, row.result or b"", row.error or b"", *journal))


def _forget(tables: Tables, transaction: Transaction, invocation_id: str) -> None:
    transaction.drop(tables.invocations, invocation_id)
    transaction.drop(tables.histories, invocation_id)
    transaction.drop(tables.journals, invocation_id)
    transaction.drop(tables.keys, invocation_id)
    transaction.drop(tables.orphans, invocation_id)
