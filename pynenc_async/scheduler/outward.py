"""The bodies of this process that wait for other processes, directly or by way of others here: a ring may lead through them.

**Theory of operation.** A way out of this process is an invocation that another runner has, and a limit of which the store
has refused a start, for others hold the permits. From there the waits are followed backward: who waits for it, who waits
for those, and who waits for a permit that one of them holds. What of all that is found the store is told (`WaitChange`), so
that each process can follow a ring through all others. Waits that lead nowhere else are no business of the store's, and a
process without a way out does nothing here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import UNSET

from pynenc_async.options import OnLimit
from pynenc_async.record import AnyOf, More, Record, waiters_with_bodies
from pynenc_async.scheduler.durability import durable_of
from pynenc_async.scheduler.limits import Limiter
from pynenc_async.scheduler.permits import permits_of
from pynenc_async.scheduler.statuses import PENDING, WAITS
from pynenc_async.store.values import Awaited, Permit

Needs = tuple[tuple[Awaited, ...], ...]
_MOST: Final = 256
"""Of so many at most one is waited for: a reader of a larger group is not followed, for it is told anew with each member."""


class Outward:
    """Which of the bodies here wait for other processes, as of the last look."""

    def __init__(self, records: Mapping[int, Record], asking_for_room: Callable[[], Iterable[Record]]) -> None:
        self._records: Final = records
        """What this app runs; bodies of other apps may wait for it, too."""
        self._asking_for_room: Final = asking_for_room
        self._leading: dict[int, Record] = {}
        """The bodies, by identity."""
        self._limiters: set[Limiter] = set()
        """Those for whose permits somebody here waits who is behind other processes."""
        self._refused: Final[dict[Limiter, Record]] = {}
        """By the limiter whose permits other processes hold, the start that the store has refused last."""

    def forget(self) -> None:
        """Know nothing: another session begins."""
        self._leading, self._limiters = {}, set()
        self._refused.clear()

    def note_refused(self, record: Record) -> bool:
        """The store has refused a start, for other processes hold its permits; say whether that of its limiter is news."""
        limiter = record._task.limiter
        is_news = limiter not in self._refused
        self._refused[limiter] = record
        return is_news

    def concerns(self, body: Record) -> bool:
        """Whether a body that has begun to wait may do so for other processes by way of others here, as of the last look."""
        return bool(self._leading or self._refused) and any(map(self._leads_out, _edges(body)))

    def look(self, awaited: Iterable[Record]) -> list[Record]:
        """Return all such bodies. `awaited` are those invocations that other runners have and somebody here waits for."""
        self._leading, self._limiters = {}, set()
        ahead = [body for record in awaited for body in _bodies_behind(record)]
        for limiter, record in list(self._refused.items()):
            if limiter.is_waited_for or _has_not_begun(record):
                ahead += _bodies_behind(record)
                ahead += self._behind_limit(limiter)
            else:
                del self._refused[limiter]
        if ahead:
            ahead += self._asking_for_room()
        while ahead:
            body = ahead.pop()
            is_mine = self._records.get(body._number) is body
            if is_mine and id(body) not in self._leading and is_blocked(body):
                self._leading[id(body)] = body
                ahead += _bodies_behind(body)
                if durable_of(body).permit is not UNSET:
                    ahead += self._behind_limit(body._task.limiter)
        return list(self._leading.values())

    def _behind_limit(self, limiter: Limiter | None) -> list[Record]:
        if limiter is None or limiter in self._limiters:
            return []
        self._limiters.add(limiter)
        return [body for record in limiter.those_waiting() for body in _bodies_behind(record)]

    def needs_of(self, body: Record) -> Needs:
        """Return what a body waits for, as far as it is behind other processes."""
        needs: list[tuple[Awaited, ...]] = []
        for edge in _edges(body):
            if isinstance(edge, AnyOf):
                if self._leads_out(edge):
                    needs.append(tuple(map(_awaited, edge)))
            else:
                needs += [(_awaited(one),) for one in edge if self._is_out_of_reach(one)]
        return tuple(needs)

    def _leads_out(self, edge: "list[Record] | AnyOf") -> bool:
        if not isinstance(edge, AnyOf):
            return any(map(self._is_out_of_reach, edge))
        some = list(islice(edge, _MOST + 1)) if all(map(self._is_out_of_reach, islice(edge, 1))) else []
        return 0 < len(some) <= _MOST and all(map(self._is_out_of_reach, some))

    def _is_out_of_reach(self, record: Record) -> bool:
        """Whether it needs other processes to end."""
        if record._ended_at is not None or not _is_stored(record):
            return False
        if id(record) in self._leading or durable_of(record).away:
            return True
        limiter = record._task.limiter
        is_limited = limiter in self._limiters or limiter in self._refused
        return limiter is not None and is_limited and _has_not_begun(record)


def is_blocked(body: Record) -> bool:
    """Whether a body of this process waits for others; not one that was told to stop, which is about to do so."""
    more = body._more
    if more is None or body._ended_at is not None or not more.blocked_on:
        return False
    durable = durable_of(body)
    return not (durable.ending or durable.away or _is_told_to_stop(durable))


def waits_still(body: Record, needs: Needs) -> bool:
    """Whether a body waits for all of this."""
    if not is_blocked(body):
        return False
    ids = {durable_of(one).invocation_id for edge in _edges(body) for one in edge if _is_stored(one)}
    return all(one.invocation_id in ids for need in needs for one in need)


def refuse_wait(body: Record, invocation_id: str, error: Exception) -> None:
    """Let the waits of a body for an invocation raise `error`."""
    for edge in _edges(body):
        for one in edge:
            if _is_stored(one) and durable_of(one).invocation_id == invocation_id:
                for waiter in waiters_with_bodies(one):
                    waiter.refuse(body, error)


def _edges(body: Record) -> "list[list[Record] | AnyOf]":
    more = body._more
    return [] if more is None or more.blocked_on is None else list(more.blocked_on.values())


def _bodies_behind(record: Record) -> Iterator[Record]:
    for waiter in waiters_with_bodies(record):
        yield from waiter.bodies()


def _awaited(record: Record) -> Awaited:
    durable = durable_of(record)
    is_limited = record._task.limiter is not None and durable.unreadable is None
    waits = is_limited and record._task.options.on_limit is not OnLimit.DROP
    return Awaited(durable.invocation_id, _permits_of(record) if waits else ())


def _permits_of(record: Record) -> tuple[Permit, ...]:
    try:
        return permits_of(record)
    except Exception:  # noqa: BLE001  code of the values' classes: then it is not followed through the limit
        return ()


def _is_stored(record: Record) -> bool:
    """Whether it is one of an app with a store: a body may wait for those of other apps, too."""
    return record._more is not None and record._more.is_stored


def _has_not_begun(record: Record) -> bool:
    return record._ended_at is None and (record._status in WAITS or record._status is PENDING)


def _is_told_to_stop(more: More) -> bool:
    return more.told_at is not None or more.cancel_reason is not None or more.timed_out is not None
