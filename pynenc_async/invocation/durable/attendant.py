"""The attendant: the one Task of an app that looks after what lies outside of its memory.

It is woken, never on a clock of its own but one: a bell that another runner rang, room for more of the backlog, a backlog
entry that is due, and, twice within a lease, the questions whether somebody has died and what may be forgotten.
"""

import asyncio
from asyncio import AbstractEventLoop, Future, Task, TimerHandle
from contextlib import suppress
from contextvars import Context
from typing import Any, Final

from pynenc_async.errors import StoreError
from pynenc_async.execution.loop_end import LAST_MOMENTS_SECONDS
from pynenc_async.invocation.durable.duties import Duties
from pynenc_async.record import Record
from pynenc_async.telemetry import log

PAUSE_SECONDS: Final = 0.5
"""How long it waits before it asks a store again that has failed."""


class Attendant:
    """Sees to the duties, one at a time."""

    def __init__(self, duties: Duties, *, lease_seconds: float) -> None:
        self._duties: Final = duties
        self._rounds_seconds: Final = lease_seconds / 2
        self._loop: AbstractEventLoop | None = None
        self._task: Task[None] | None = None
        self._wanted: Future[None] | None = None
        self._looks = self._fills = self._recovers = self._tidies = self._stops = False
        self._takes = True
        """Whether it takes anything from the store that waits there."""
        self._is_in_vain = False
        """Whether the store has failed when it was asked last: it is said once, however long that lasts."""
        self._due: TimerHandle | None = None
        self._rounds: TimerHandle | None = None

    def start(self, loop: AbstractEventLoop) -> None:
        """Begin, with everything."""
        self._loop = loop
        self._looks = self._fills = self._recovers = True
        self._begin(loop)
        self._rounds = loop.call_later(self._rounds_seconds, self._next_round)

    def _begin(self, loop: AbstractEventLoop) -> None:
        task: Any = loop.create_task(self._attend(), name="pynenc-attendant", context=Context())
        task._log_destroy_pending = False  # if the loop is closed first, what is left goes on in the next start
        task.add_done_callback(self._ended)
        self._task = task

    def _ended(self, task: "Task[None]") -> None:
        """Somebody else has cancelled it: begin anew, unless that was the end of the loop, which closes in a moment."""
        if task is self._task and self._loop is not None and not self._loop.is_closed():
            self._loop.call_later(LAST_MOMENTS_SECONDS, self._begin_anew, task)

    def _begin_anew(self, task: "Task[None]") -> None:
        if task is self._task and self._loop is not None and self._duties.is_possible:
            log.warning("the asyncio Task that attends to the store was cancelled from outside, and is begun anew")
            self._looks = self._fills = self._recovers = True
            self._begin(self._loop)

    async def stop(self) -> None:
        """End; what is under way is broken off."""
        for timer in (self._due, self._rounds):
            if timer is not None:
                timer.cancel()
        task, self._task = self._task, None
        self._loop = self._due = self._rounds = None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def ring(self) -> None:
        """Another runner has done something; callable in any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # closed
                loop.call_soon_threadsafe(self.look)

    def end_family(self, record: Record, fate: str) -> None:
        """Have what the store has of the children of `record`, which was told to stop, cancelled."""
        self._duties.end_family(record, fate)
        self.look()

    def look(self) -> None:
        """See what others have ended, and what they ask for."""
        self._looks = True
        self._wake()

    def fill(self) -> None:
        """There is room for more of the backlog."""
        if not self._fills:
            self._fills = True
            self._wake()

    def take_nothing_more(self) -> None:
        """Leave what waits in the store to others, and to the next start."""
        self._takes = False

    def announce_stop(self) -> None:
        """The app is being shut down; what comes of it may take longer than whoever waits for that has patience."""
        self._stops = True
        self._wake()

    def _next_round(self) -> None:
        if self._loop is not None:
            self._rounds = self._loop.call_later(self._rounds_seconds, self._next_round)
            self._recovers = self._looks = True
            self._wake()

    def _wake(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None and not wanted.done():
            wanted.set_result(None)

    async def _attend(self) -> None:
        while True:
            while not (self._looks or self._fills or self._recovers or self._tidies or self._stops):
                self._wanted = asyncio.get_running_loop().create_future()
                await self._wanted
            try:
                await self._see_to_it()
            except StoreError as error:
                was_in_vain, self._is_in_vain = self._is_in_vain, True
                self._looks = self._fills = True
                if not was_in_vain:
                    log.warning("the store does not answer, and is asked again until it does: %s", error)
                await asyncio.sleep(PAUSE_SECONDS)
            except Exception:  # noqa: BLE001  whatever it is, nobody must wait for ever for this process
                self._looks = self._fills = True
                log.exception("a duty towards the store failed; it is tried again")
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._is_in_vain = False

    async def _see_to_it(self) -> None:
        if self._stops:
            await self._duties.announce_stop()
            self._stops = False
        if not self._takes:
            self._recovers = self._fills = False
        elif self._recovers or (self._looks and self._duties.notices_death()):
            self._recovers = True
            await self._duties.recover()
            self._recovers, self._fills, self._tidies = False, True, True
        if self._looks:
            self._looks = False  # first: a ring while it looks asks for another look
            await self._duties.look_around()
        if self._fills:
            self._fills = False
            self._expect(await self._duties.fill_up())
        if self._tidies:
            self._tidies = await self._duties.tidy_up()

    def _expect(self, seconds: float | None) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if seconds is not None and self._loop is not None:
            self._due = self._loop.call_later(max(0.0, seconds), self.fill)
