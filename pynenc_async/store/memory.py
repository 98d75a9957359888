"""The store in memory: as strict as one on disk, but nothing outlives the process.

It is for tests: of the runtime, in virtual time, with crashes and faults wherever they are wanted; and it is the model of
the contract, without a trick. An app that keeps nothing uses no store at all.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, Final, TypeVar

import msgspec

from pynenc_async.errors import StoreError
from pynenc_async.history import told_in_order
from pynenc_async.store.base import Store
from pynenc_async.store.belonging import belongs_to_another
from pynenc_async.store.memory_backlog import Eligible, Heir, claim, describe_backlog
from pynenc_async.store.memory_changes import Writer
from pynenc_async.store.memory_hub import MemoryHub
from pynenc_async.store.memory_queries import find, purge, waits
from pynenc_async.store.memory_tables import Transaction
from pynenc_async.store.values import (
    Backlog,
    CancelRequest,
    Change,
    Page,
    Query,
    Recovery,
    Refusal,
    Retention,
    StoredInvocation,
    StoredStep,
    StoredWait,
)

__all__ = ["MemoryHub", "MemoryStore"]

T = TypeVar("T")
Hook = Callable[[str, Sequence[Change]], None]
"""Called with the name of a method of the store, and the changes of a commit (of other methods: none)."""


class _Phase(Enum):
    NEW = "has not been opened"
    OPEN = "is open"
    CLOSED = "has been closed"
    KILLED = "was killed"


class MemoryStore(Store):
    """The view that one runner has of a `MemoryHub`.

    What a runner asks for is done one after the other, and, unless `latency` says otherwise, none of it before the loop has
    turned once. To look for what goes wrong elsewhere:

    * `before(name, changes)` is called before a coroutine does anything. It may raise `StoreError`: then nothing was done.
    * `after(name, changes)` is called when it is done, and before the caller knows.
    * `latency()` says how many seconds pass before it is done, and as many again until the caller knows; with None it is
      done before the loop turns, as a store on a local disk may do what is little.

    Both hooks may call `kill`.
    """

    def __init__(
        self,
        hub: MemoryHub,
        *,
        before: Hook | None = None,
        after: Hook | None = None,
        latency: Callable[[], float | None] | None = None,
    ) -> None:
        self._hub: Final = hub
        self._tables: Final = hub.tables
        self._before: Final = before or _do_nothing
        self._after: Final = after or _do_nothing
        self._latency: Final = latency or _no_time
        self._phase = _Phase.NEW
        self._runner_id = ""
        self._turn: Final = asyncio.Lock()
        self._commits = self._changes = 0
        self._deaths: frozenset[tuple[str, int]] = frozenset()
        """Who was dead when that was asked last."""

    # -- life ----------------------------------------------------------------------------------------------------------

    async def open(self, runner_id: str, *, lease_seconds: float) -> None:
        """Enrol a runner, whose lease begins now."""
        if self._phase is not _Phase.NEW:
            raise StoreError("a store is opened once; make another one")
        await self._pause()
        self._before("open", ())
        with self._hub.lock:
            self._hub.enrol(runner_id, lease_seconds)
            self._deaths = self._hub.deaths()
        self._runner_id, self._phase = runner_id, _Phase.OPEN
        self._after("open", ())

    async def belong_to(self, app_id: str) -> None:
        """Let the hub be that of one app: the first that says so."""
        await self._do("belong_to", lambda: self._belong_to(app_id))

    def _belong_to(self, app_id: str) -> None:
        owner = self._tables.app_id = self._tables.app_id or app_id
        if owner != app_id:
            raise StoreError(f"store in memory: {belongs_to_another(owner, app_id)}")

    async def close(self) -> None:
        """Let the runner go, after what it has asked for already."""
        async with self._turn:
            if self._phase is not _Phase.OPEN:
                return
            await self._pause()
            self._leave(_Phase.CLOSED)
        self._hub.ring(self._runner_id)

    def kill(self, *, is_noticed: bool = False) -> None:
        """Let the process of this runner die, as it were: nothing is written any more, and every method raises `StoreError`.

        Its lease runs out by itself; with `is_noticed` it is declared dead at once, and the others hear of it.
        """
        if self._phase is not _Phase.OPEN:
            return
        with self._hub.lock:
            self._hub.let_run_out(self._runner_id)
        if is_noticed:
            self._leave(_Phase.KILLED)
            self._hub.ring(self._runner_id)
        else:
            self._phase = _Phase.KILLED
            self._hub.take_down(self._runner_id)

    def stall(self) -> None:
        """Let the lease run out, while this runner goes on: what it does too late is refused. `rejoin` ends it."""
        self._require_open()
        with self._hub.lock:
            self._hub.let_run_out(self._runner_id)

    def _leave(self, phase: _Phase) -> None:
        self._phase = phase
        with self._hub.lock:
            self._hub.declare_dead(self._runner_id)
            self._hub.take_down(self._runner_id)

    @property
    def alive(self) -> bool:
        """Whether the runner has its lease."""
        with self._hub.lock:
            return self._phase is _Phase.OPEN and self._hub.is_alive(self._runner_id)

    async def rejoin(self) -> None:
        """Give a runner that was declared dead a new lease."""
        await self._do("rejoin", self._rejoin)

    def _rejoin(self) -> None:
        if not self._hub.is_alive(self._runner_id):
            with Transaction() as transaction:
                for row in self._tables.invocations.values():
                    if row.home == self._runner_id:
                        transaction.put(self._tables.orphans, row.invocation_id, None)
        self._hub.renew(self._runner_id)

    async def announce_stop(self) -> None:
        """Say that the runner is about to stop."""
        await self._do("announce_stop", lambda: self._hub.stopping.add(self._runner_id))

    def listen(self, ring: Callable[[], None]) -> None:
        """Call `ring` when another runner has changed something, in its thread."""
        self._require_open()
        with self._hub.lock:
            self._hub.hang(self._runner_id, ring)

    def notices_death(self) -> bool:
        """Whether another runner has died or left since this was asked last."""
        before, self._deaths = self._deaths, self._hub.deaths()
        return any(runner_id != self._runner_id for runner_id, _ in self._deaths - before)

    # -- changes -------------------------------------------------------------------------------------------------------

    async def commit(self, changes: Sequence[Change]) -> list[Refusal | None]:
        """Make the changes in order, in one transaction."""
        given = tuple(changes)
        return await self._do("commit", lambda: self._commit(given), given, is_news=lambda refusals: None in refusals)

    def _commit(self, changes: Sequence[Change]) -> list[Refusal | None]:
        with Transaction() as transaction:
            writer = Writer(self._tables, transaction, self._runner_id, is_alive=self._hub.is_alive(self._runner_id))
            refusals = [writer.make(change) for change in changes]
        self._commits += 1
        self._changes += len(changes)
        return refusals

    async def claim(
        self, task_ids: Sequence[str], limit: int, *, now: float, only: Sequence[str] | None = None
    ) -> list[StoredInvocation]:
        """Take up to `limit` invocations out of the backlog of this runner."""
        eligible = Eligible(self._runner_id, frozenset(task_ids), now, None if only is None else frozenset(only))
        return await self._do("claim", lambda: self._claim(eligible, limit))

    def _claim(self, eligible: Eligible, limit: int) -> list[StoredInvocation]:
        if not self._hub.is_alive(self._runner_id):
            return []
        with Transaction() as transaction:
            return claim(self._tables, transaction, eligible, limit)

    async def backlog(self, task_ids: Sequence[str], *, now: float) -> Backlog:
        """Say what of these tasks waits in the backlog of this runner."""
        tasks = frozenset(task_ids)
        return await self._do("backlog", lambda: describe_backlog(self._tables, self._runner_id, tasks, now))

    async def recover(self, task_ids: Sequence[str], *, now: float) -> Recovery:
        """Take over what belongs to dead runners and is of one of the tasks."""
        tasks = frozenset(task_ids)
        return await self._do(
            "recover", lambda: self._recover(tasks, now), is_news=lambda done: bool(done.adopted or done.poisoned)
        )

    def _recover(self, task_ids: frozenset[str], now: float) -> Recovery:
        if not self._hub.is_alive(self._runner_id):
            return Recovery()
        found = self._hub.notice_deaths()
        with Transaction() as transaction:
            heir = Heir(self._tables, transaction, self._runner_id, now, self._hub.stopping)
            heir.let_stands_begin()
            return heir.inherit(self._hub.is_dead, task_ids, found)

    # -- questions -----------------------------------------------------------------------------------------------------

    async def waits(self, invocation_ids: Sequence[str]) -> list[StoredWait]:
        """Return what these wait for, what that waits for, and so on."""
        return await self._do("waits", lambda: waits(self._tables, invocation_ids, self._hub.is_alive))

    async def load(self, invocation_ids: Sequence[str]) -> list[StoredInvocation]:
        """Return those that are known."""
        known, wanted = self._tables.invocations, dict.fromkeys(invocation_ids)
        return await self._do("load", lambda: [known[one] for one in wanted if one in known])

    def peek(self, invocation_id: str) -> StoredInvocation | None:
        """Return one invocation, or None."""
        self._require_open()
        with self._hub.lock:
            return self._tables.invocations.get(invocation_id)

    def standing(self, unique_key: str, *, now: float) -> str | None:
        """Return the id of the invocation that stands under a unique key, or None."""
        self._require_open()
        with self._hub.lock:
            return self._tables.standing(unique_key, now)

    async def cancel_requests(self) -> list[CancelRequest]:
        """Return what this runner has been asked to cancel, and has not ended."""
        return await self._do("cancel_requests", self._cancel_requests)

    def _cancel_requests(self) -> list[CancelRequest]:
        rows = (self._tables.invocations[invocation_id] for invocation_id in self._tables.asked)
        return [
            CancelRequest(invocation_id=row.invocation_id, reason=row.cancel_reason or "")
            for row in rows
            if self._tables.is_home(self._runner_id, row)
        ]

    async def last_fires(self) -> dict[str, float]:
        """Return, by schedule, the latest moment that was fired."""
        return await self._do("last_fires", self._last_fires)

    def _last_fires(self) -> dict[str, float]:
        last: dict[str, float] = {}
        for fire in self._tables.fires:
            last[fire.schedule] = max(fire.moment, last.get(fire.schedule, fire.moment))
        return last

    async def journal(self, invocation_id: str) -> list[bytes]:
        """Return the entries of a workflow's journal."""
        return await self._do("journal", lambda: self._journal(invocation_id))

    def _journal(self, invocation_id: str) -> list[bytes]:
        return [entry for entry, _ in self._tables.journals.get(invocation_id, ())]

    def history(self, invocation_id: str) -> list[StoredStep]:
        """Return every transition, the first one first."""
        self._require_open()
        with self._hub.lock:
            steps = self._tables.histories.get(invocation_id, ())
        moments = told_in_order(step.timestamp for step in steps)
        return [msgspec.structs.replace(step, timestamp=moment) for step, moment in zip(steps, moments, strict=True)]

    async def find(self, query: Query) -> Page:
        """Return a page of what fits."""
        return await self._do("find", lambda: find(self._tables, query))

    async def counts(self) -> dict[str, int]:
        """Return how many invocations there are in each status that occurs."""
        return await self._do("counts", self._counts)

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in self._tables.invocations.values():
            counts[row.status.value] = counts.get(row.status.value, 0) + 1
        return counts

    # -- housekeeping --------------------------------------------------------------------------------------------------

    async def purge(self, retention: Retention, *, now: float, limit: int = 10_000) -> int:
        """Forget up to `limit` of what has ended, as far as `retention` is exceeded."""
        return await self._do("purge", lambda: self._purge(retention, now, limit))

    def _purge(self, retention: Retention, now: float, limit: int) -> int:
        with Transaction() as transaction:
            return purge(self._tables, transaction, retention, now, limit)

    def statistics(self) -> dict[str, Any]:
        """Return the number of invocations, of transactions of this runner, and of changes in them."""
        return {"invocations": len(self._tables.invocations), "commits": self._commits, "changes": self._changes}

    # -- how anything is done ------------------------------------------------------------------------------------------

    async def _do(
        self,
        name: str,
        work: Callable[[], T],
        changes: Sequence[Change] = (),
        *,
        is_news: Callable[[T], bool] | None = None,
    ) -> T:
        await self._turn.acquire()
        try:
            await self._pause()
            self._require_open()
            self._before(name, changes)
            self._require_open()
            with self._hub.lock:
                result = work()
            if is_news is not None and is_news(result):
                self._hub.ring(self._runner_id)
            self._after(name, changes)
            await self._pause()
            self._require_open()
            return result
        finally:
            with suppress(RuntimeError):  # its loop was closed, and it is collected: nobody waits any more
                self._turn.release()

    async def _pause(self) -> None:
        seconds = self._latency()
        if seconds is not None:
            await asyncio.sleep(seconds)

    def _require_open(self) -> None:
        if self._phase is not _Phase.OPEN:
            raise StoreError(f"the store of runner {self._runner_id!r} {self._phase.value}")


def _do_nothing(name: str, changes: Sequence[Change]) -> None:
    """There is no hook."""


def _no_time() -> float:
    return 0.0
