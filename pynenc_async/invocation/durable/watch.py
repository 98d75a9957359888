"""Handles to what another runner has, or what has ended: found in the store, and told of the end when it comes."""

from collections.abc import Callable
from typing import Any, Final, cast
from weakref import WeakValueDictionary

from pynenc_async.errors import InvocationNotFoundError
from pynenc_async.history import HistoryEntry
from pynenc_async.invocation.durable.stored import Handle, follow, handle_of, take_end, take_standing
from pynenc_async.record import Record
from pynenc_async.scheduler.durability import durable_of
from pynenc_async.scheduler.telling import tell_waiters
from pynenc_async.store.base import Store
from pynenc_async.store.values import StoredInvocation
from pynenc_async.weak_bag import items_of


class Watch:
    """The handles of one process that look at the store. Each invocation has one, as long as somebody holds it."""

    def __init__(self, backing: Store, task_of: Callable[[str], Any]) -> None:
        self._backing: Final = backing
        self._task_of: Final = task_of
        self._handles: Final[WeakValueDictionary[str, Handle]] = WeakValueDictionary()

    def get(self, invocation_id: str) -> Handle | None:
        """Return the handle that watches an invocation."""
        return self._handles.get(invocation_id)

    def pop(self, invocation_id: str) -> Handle | None:
        """Return it, and watch no more: the invocation is going to live here."""
        return self._handles.pop(invocation_id, None)

    def add(self, record: Record) -> bool:
        """Watch an invocation through a handle; say whether there is anything to wait for.

        Where another handle watches it already, this one ends with that.
        """
        if record._ended_at is not None:
            return False
        handle = cast(Handle, record)
        known = self._handles.setdefault(handle.invocation_id, handle)
        if known is not handle and durable_of(handle).leader is not known:
            follow(handle, known)
        return True

    def find(self, invocation_id: str) -> Handle | None:
        """Return a handle to a stored invocation."""
        stored = self._backing.peek(invocation_id)
        return None if stored is None else self.open(stored)

    def open(self, stored: StoredInvocation) -> Handle:
        """Return a handle to a stored invocation, watched if it has not ended."""
        known = self._handles.get(stored.invocation_id)
        if known is not None:
            return known
        handle = handle_of(stored, self._task_of(stored.task_id))
        self.add(handle)
        return handle

    def history(self, invocation_id: str) -> tuple[HistoryEntry, ...]:
        """Return every transition that the store has."""
        return tuple(
            HistoryEntry(
                status=step.status,
                timestamp=step.timestamp,
                order=order,
                runner_id=step.runner_id,
                attempt=step.attempt,
                reason=step.reason,
            )
            for order, step in enumerate(self._backing.history(invocation_id))
        )

    def awaited(self) -> dict[str, Handle]:
        """Return, by id, all for whose end somebody waits."""
        return {found: handle for found, handle in items_of(self._handles) if handle._waiters is not None}

    async def look(self) -> None:
        """Read where everything stands for whose end somebody waits, and tell them."""
        awaited = list(self.awaited())
        if not awaited:
            return
        missing = dict.fromkeys(awaited)
        for stored in await self._backing.load(awaited):
            missing.pop(stored.invocation_id, None)
            self._see(stored)
        for invocation_id in missing:
            self._lose(invocation_id)

    def refresh(self, record: Record) -> None:
        """Read where one invocation stands, without waiting; callable in any thread.

        Raises `InvocationNotFoundError` for one that the store has forgotten.
        """
        invocation_id, durable = cast(Handle, record).invocation_id, durable_of(record)
        stored = self._backing.peek(invocation_id)
        if stored is not None:
            durable.failure = None
            take_standing(record, stored)
            if stored.ended_at is not None and record._waiters is None:  # else `look` tells those who wait
                take_end(record, stored)
        elif durable.known:  # else its registration is on its way
            raise InvocationNotFoundError(invocation_id)

    def _see(self, stored: StoredInvocation) -> None:
        record = self._handles.get(stored.invocation_id)
        if record is None or record._ended_at is not None:
            return
        take_standing(record, stored)
        if stored.ended_at is not None:
            take_end(record, stored)
            del self._handles[stored.invocation_id]
            tell_waiters(record)

    def _lose(self, invocation_id: str) -> None:
        """The store has forgotten an invocation: it ended, and whoever waits for that came too late."""
        record = self._handles.get(invocation_id)
        if record is None or record._ended_at is not None or not durable_of(record).known:
            return
        durable_of(record).failure = InvocationNotFoundError(invocation_id)
        del self._handles[invocation_id]
        tell_waiters(record)

    def note_fork(self) -> None:
        """In a child: whoever waits for an end waits in the parent."""
        for _, record in items_of(self._handles):
            record._waiters = None

    def let_go(self) -> None:
        """The store is closed: nobody will hear of an end any more."""
        for _, record in items_of(self._handles):
            tell_waiters(record)
        self._handles.clear()
