"""Rings across processes: what waits here for others is told to the store, and a ring that closes so is broken.

Each process says what its own bodies wait for (see `scheduler.outward`), and follows in the store where that leads. Of a
ring, all who find it choose the same wait to be refused (see `stuck`), and the process that has it lets it raise
`CycleDetectedError`.

What the store has may be over already: a body goes on, or ends, a moment before the store hears of it. So the others in a
ring say once more that their waits last, having seen the last one of the ring; only then was there a moment at which all of
them waited, and the ring is broken.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pynenc_async.invocation.durable.stuck import Ring, find_rings
from pynenc_async.invocation.durable.watch import Watch
from pynenc_async.record import Record
from pynenc_async.scheduler.cycles import describe, ring_error
from pynenc_async.scheduler.durability import durable_of
from pynenc_async.scheduler.durable import DurableScheduler
from pynenc_async.scheduler.outward import Needs, waits_still
from pynenc_async.store.base import Store
from pynenc_async.store.values import StoredWait, WaitChange


@dataclass(frozen=True, slots=True)
class _Said:
    """What the store was told of a body, in a revision of its invocation."""

    body: Record
    revision: int
    needs: Needs
    is_refused: bool = False
    """Whether a wait of it has been refused since."""


class Rings:
    """Says the waits of one process, and breaks the rings that they close."""

    def __init__(
        self, backing: Store, watch: Watch, desk: DurableScheduler, find_here: Callable[[str], Record | None]
    ) -> None:
        self._backing: Final = backing
        self._watch: Final = watch
        self._desk: Final = desk
        self._find_here: Final = find_here
        self._said: Final[dict[str, _Said]] = {}
        """By invocation id."""

    async def see_to_them(self) -> None:
        """Say what has changed, and do what this process has to do about rings. Raises `StoreError`."""
        bodies, ledger = self._look(), self._desk.ledger
        if not (bodies or self._said):
            return
        # Else what is said would be of a revision to come.
        await ledger.until_committed([body._number for body in bodies])
        if ledger.failure is not None:
            return  # nothing can be said; when that is over, there is another look
        await self._say(self._changes(self._look()))
        if self._said:
            for ring in find_rings(await self._backing.waits(list(self._said))):
                await self._see_to(ring)

    def _look(self) -> list[Record]:
        return self._desk.outward.look(self._watch.awaited().values())

    # -- saying --------------------------------------------------------------------------------------------------------

    def _changes(self, bodies: Sequence[Record]) -> list[_Said]:
        """Return what is to be said; forget what the store knows to be over."""
        leading = {durable_of(body).invocation_id: body for body in bodies}
        changes: list[_Said] = []
        for invocation_id, said in list(self._said.items()):
            if durable_of(said.body).revision != said.revision or said.body._ended_at is not None:
                del self._said[invocation_id]
            elif invocation_id not in leading and not waits_still(said.body, said.needs):
                changes.append(_Said(said.body, said.revision, ()))
        for invocation_id, body in leading.items():
            said_before, needs = self._said.get(invocation_id), self._desk.outward.needs_of(body)
            if needs != (() if said_before is None else said_before.needs):
                changes.append(_Said(body, durable_of(body).revision, needs))
        settled = [one for one in changes if not self._desk.ledger.has_draft(one.body)]
        if len(settled) < len(changes):
            self._desk.leads_out()  # the others with the next look, if they wait by then
        return settled

    async def _say(self, news: Sequence[_Said], *, seen: int = 0) -> None:
        if not news:
            return
        answers = await self._backing.commit([_change_of(said, seen) for said in news])
        for said, refusal in zip(news, answers, strict=True):
            invocation_id = durable_of(said.body).invocation_id
            if refusal is None and said.needs:
                self._said[invocation_id] = said
            else:
                self._said.pop(invocation_id, None)

    # -- breaking ------------------------------------------------------------------------------------------------------

    async def _see_to(self, ring: Ring) -> None:
        """Break a ring, if that is for this process; else say that what waits here still does."""
        if ring.path[0].invocation_id not in self._said:
            last = ring.closed_by
            lasting = [wait for wait in ring.support if wait.seen < last and self._waits_here(wait)]
            await self._say([self._said[wait.invocation_id] for wait in lasting], seen=last)
        elif self._is_sure(ring):
            names = await self._names_of(ring.path)
            if self._is_sure(ring):  # still
                self._refuse(ring, names)

    def _refuse(self, ring: Ring, names: Sequence[str]) -> None:
        waiter, follower = ring.path[0].invocation_id, ring.path[1 % len(ring.path)].invocation_id
        said = self._said[waiter]
        if said.is_refused:
            return  # its body has not gone on yet
        self._said[waiter] = replace(said, is_refused=True)
        self._desk.refuse_wait(said.body, follower, ring_error(names))
        self._desk.settle()
        # There may be another ring behind this one, to be seen when its body has gone on.
        asyncio.get_running_loop().call_soon(self._desk.leads_out)

    def _is_sure(self, ring: Ring) -> bool:
        """Whether there was a moment at which all of them waited: those of other processes have seen the last of them."""
        last = ring.closed_by
        return all(
            not wait.number or (self._waits_here(wait) if wait.invocation_id in self._said else wait.seen >= last)
            for wait in ring.support
        )

    def _waits_here(self, wait: StoredWait) -> bool:
        """Whether a wait is that of a body of this process, which still waits."""
        said = self._said.get(wait.invocation_id)
        if said is None or durable_of(said.body).revision != said.revision:
            return False
        return waits_still(said.body, said.needs) and not self._desk.ledger.has_draft(said.body)

    async def _names_of(self, path: Sequence[StoredWait]) -> list[str]:
        """Return a ring in words, from the invocation that is told so, back to it."""
        handles: dict[str, Record] = {
            stored.invocation_id: self._find_here(stored.invocation_id) or self._watch.open(stored)
            for stored in await self._backing.load([wait.invocation_id for wait in path])
        }
        names = [
            describe(handles[wait.invocation_id], waits_for_limit=not wait.number)
            if wait.invocation_id in handles
            else wait.invocation_id
            for wait in path
        ]
        return [*names, names[0]]


def _change_of(said: _Said, seen: int) -> WaitChange:
    return WaitChange(
        invocation_id=durable_of(said.body).invocation_id,
        revision=said.revision,
        needs=said.needs,
        refusable=said.body._task.options.detect_cycles,
        seen=seen,
    )
