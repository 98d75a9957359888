"""What an app with a store has to see to, besides its calls: what others have done, what lies there, what may be forgotten."""

from collections.abc import Callable
from typing import Final

from pynenc_async.guard import serve_each
from pynenc_async.invocation.durable.backlog import BacklogKeeper
from pynenc_async.invocation.durable.families import Families
from pynenc_async.invocation.durable.rings import Rings
from pynenc_async.invocation.durable.stored import Handle
from pynenc_async.invocation.durable.watch import Watch
from pynenc_async.record import Record
from pynenc_async.scheduler.durable import DurableScheduler
from pynenc_async.store.base import Store
from pynenc_async.store.values import Retention

MOST_FORGOTTEN: Final = 1_000
"""How much is forgotten at once: a transaction of which nobody notices anything."""


class Duties:
    """One method for each; the attendant says when."""

    def __init__(
        self,
        *,
        backing: Store,
        watch: Watch,
        backlog: BacklogKeeper,
        desk: DurableScheduler,
        retention: Retention,
        find_here: Callable[[str], Record | None],
        is_open: Callable[[], bool],
        declared_dead: Callable[[], None],
    ) -> None:
        self._backing: Final = backing
        self._watch: Final = watch
        self._backlog: Final = backlog
        self._desk: Final = desk
        self._retention: Final = retention
        self._find_here: Final = find_here
        self._is_open: Final = is_open
        """Whether new work is begun."""
        self._families: Final = Families(backing, watch, backlog, desk, find_here)
        self._rings: Final = Rings(backing, watch, desk, find_here)
        self._declared_dead: Final = declared_dead
        """Called when others have declared this runner dead, before it lives again."""

    def notices_death(self) -> bool:
        """Whether there may be something to take over."""
        noticed = self._backing.notices_death()
        if noticed:
            self._families.note_death()
        return noticed

    @property
    def is_possible(self) -> bool:
        """Whether what is done here is committed, too: if not, the loop is on its way out."""
        return self._desk.ledger.is_committing

    async def announce_stop(self) -> None:
        """Say that this process is about to stop."""
        await self._backing.announce_stop()

    async def recover(self) -> None:
        """Take over what belongs to the dead."""
        if await self._backlog.recover():
            self._families.note_death()

    async def look_around(self) -> None:
        """See what others have ended, and what they ask for."""
        if not self._backing.alive:
            self._declared_dead()
            await self._backing.rejoin()
        await self._watch.look()
        elsewhere: dict[str, str] = {}
        here: list[tuple[Record, str]] = []
        for request in await self._backing.cancel_requests():
            record = self._find_here(request.invocation_id)
            if record is None:
                elsewhere[request.invocation_id] = request.reason
            elif record._ended_at is None:
                here.append((record, request.reason))
        serve_each(here, lambda one: self._desk.cancel(*one), "cancelling what another process asks for")
        await self._backlog.cancel_these(elsewhere)
        await self._families.see_to_them()
        self._desk.look_again()
        self._desk.settle()
        await self._rings.see_to_them()  # last: what else there is to do does not wait for what it waits for

    async def kin_of(self, record: Record) -> list[Handle]:
        """Return the children of `record` that the store has, that end with it, and have not."""
        return await self._families.still_living(record)

    def end_family(self, record: Record, fate: str) -> None:
        """Let what the store has of the children of `record` be cancelled with the next look."""
        self._families.put(record, fate)

    async def fill_up(self) -> float | None:
        """Claim what bodies await, and as much of the backlog as there is room for; say in how many seconds more is due."""
        await self._backlog.claim_awaited()
        return await self._backlog.fill_up() if self._is_open() else None

    async def tidy_up(self) -> bool:
        """Forget some of what has ended long ago; say whether there is more of it."""
        now = min(self._desk.clock(), self._desk.steady())  # a clock that is set forward makes nothing older
        forgotten = await self._backing.purge(self._retention, now=now, limit=MOST_FORGOTTEN)
        return forgotten == MOST_FORGOTTEN
