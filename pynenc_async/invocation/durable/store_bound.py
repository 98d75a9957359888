"""What the runtime of an app has to do with its store: it opens it and lets it go, and looks into it."""

from asyncio import AbstractEventLoop
from asyncio.events import _get_running_loop
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast
from weakref import WeakValueDictionary

from pynenc_async.errors import AppNotStartedError, InvocationNotFoundError, StoreError
from pynenc_async.family import guardian_of, is_told_to_stop
from pynenc_async.forks import keep_for_parent
from pynenc_async.history import HistoryEntry
from pynenc_async.invocation.binding import Phase
from pynenc_async.invocation.dispatch import Dispatcher
from pynenc_async.invocation.durable.attendant import Attendant
from pynenc_async.invocation.durable.backlog import BacklogKeeper
from pynenc_async.invocation.durable.duties import Duties
from pynenc_async.invocation.durable.gate import Gate
from pynenc_async.invocation.durable.stored import Handle
from pynenc_async.invocation.durable.unknown import UnknownTask
from pynenc_async.invocation.durable.watch import Watch
from pynenc_async.invocation.finding import InvocationPage
from pynenc_async.invocation.loops import bound_elsewhere
from pynenc_async.record import Record
from pynenc_async.scheduler.durability import durable_of, is_away, lost_of, tell_acceptance
from pynenc_async.scheduler.durable import DurableScheduler
from pynenc_async.scheduler.scheduler import Scheduler
from pynenc_async.store.base import Store
from pynenc_async.store.values import Query, Retention
from pynenc_async.telemetry import log


@dataclass(frozen=True, slots=True)
class Session:
    """What an app has between its start and its stop."""

    store: Store
    watch: Watch
    backlog: BacklogKeeper
    attendant: Attendant
    duties: Duties


class StoreBound(Dispatcher):
    """Has a store between its start and its stop, and finds there what does not live here."""

    has_store: ClassVar[bool] = True
    scheduler_type: ClassVar[type[Scheduler]] = DurableScheduler

    def __init__(
        self,
        *,
        app: object,
        app_id: str,
        new_store: Callable[[], Store],
        tasks: Mapping[str, Any],
        window: int,
        lease_seconds: float,
        retention: Retention,
        **wiring: Any,
    ) -> None:
        super().__init__(**wiring)
        self._app: Final = app
        self._app_id: Final = app_id
        self._new_store: Final = new_store
        self._tasks: Final = tasks
        self._window: Final = window
        self._lease_seconds: Final = lease_seconds
        self._retention: Final = retention
        self._desk: Final = cast(DurableScheduler, self.scheduler)
        self._desk.hand_over = self._hand_over
        self._desk.went_on = self._fill_if_wanted
        self.ledger: Final = self._desk.ledger
        self._opening: Session | None = None
        self._adopted: Final[WeakValueDictionary[str, Record]] = WeakValueDictionary()
        """What lives here under the id of another runner, or of this process before it was started again."""
        self._doubtful: Final[list[Record]] = []
        """What was submitted in a loop that was lost, and may have been registered or not."""
        self._has_been_open = False
        self._gate: Final = Gate()
        self._phase = Phase.CLOSED

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self, loop: AbstractEventLoop) -> None:
        """Open a store, take over what the dead have left, and admit calls. Raises `StoreError`.

        Several starts at the same moment are one: who comes later waits for the first, and opens nothing.
        """
        async with self._gate.pass_through():
            await self._start(loop)

    async def _start(self, loop: AbstractEventLoop) -> None:
        self.refuse_copy()
        self.refuse_other_loop(loop)
        if self.loop is not loop:
            await self.leave_closed_loop()
        if self._opening is None:
            self.bind(loop)
            self._become_another_runner()
            await self._open_store(loop)
        self._desk.stopping = False
        self.phase = Phase.OPEN

    async def _open_store(self, loop: AbstractEventLoop) -> None:
        store = self._new_store()
        await store.open(self.runner_id, lease_seconds=self._lease_seconds)
        try:
            await store.belong_to(self._app_id)
            await self._begin_session(store, loop)
        except BaseException:
            self._opening = None
            await self.ledger.stop()
            await store.close()
            raise

    async def _begin_session(self, store: Store, loop: AbstractEventLoop) -> None:
        watch = Watch(store, self._task_of)
        backlog = BacklogKeeper(
            backing=store,
            tasks=self._tasks,
            desk=self._desk,
            ids=self.ids,
            watch=watch,
            window=self._window,
            adopted=self._adopted,
            find_here=self._find_here,
            revived=self.watches.resume,
            adopt=self._adopt_late,
        )
        duties = Duties(
            backing=store,
            watch=watch,
            backlog=backlog,
            desk=self._desk,
            retention=self._retention,
            find_here=self._find_here,
            is_open=lambda: self._phase is Phase.OPEN,
            declared_dead=self._declared_dead,
        )
        attendant = Attendant(duties, lease_seconds=self._lease_seconds)
        self._opening = Session(store, watch, backlog, attendant, duties)
        self._desk.wanted = self._fetch
        self._desk.told_kin = attendant.end_family
        self._desk.leads_out = attendant.look
        store.listen(attendant.ring)
        self._desk.begin_session()
        self.ledger.start(store, loop)
        await backlog.recover()
        await self._clear_up()
        attendant.start(loop)

    def _become_another_runner(self) -> None:
        """A runner is one incarnation: a start after a stop is another one."""
        if self._has_been_open:
            self.ids.renew()
        self._has_been_open = True

    def bind(self, loop: AbstractEventLoop) -> None:
        """Use `loop` from now on. Raises `AppNotStartedError` while the store is open in another loop, closed or not."""
        if self._opening is not None and self.loop is not None and self.loop is not loop:
            raise bound_elsewhere(self._name, self.loop)
        super().bind(loop)

    def _needs_its_loop(self, loop: AbstractEventLoop) -> bool:
        return self._opening is not None or super()._needs_its_loop(loop)

    async def leave_closed_loop(self) -> None:
        """The loop in which the store was opened is gone, and nobody has closed it: what was under way is recovered."""
        if self._opening is not None:
            await self._leave_session(self._opening).store.close()

    def _take_back_unbegun(self) -> None:
        """What had begun, as the store has it, is given back to the store with all the rest."""

    def note_fork(self) -> None:
        """See `LoopBound.note_fork`. What the parent has is followed in the store, once the app is started here."""
        super().note_fork()
        if self._opening is not None and self._phase is not Phase.COPIED:
            keep_for_parent(self._opening)
            self._opening.watch.note_fork()
            self._leave_session(self._opening)
            self.phase = Phase.CLOSED

    def _leave_session(self, lost: Session) -> Session:
        """Go on without what a session has under way; return the session."""
        self._opening = None
        self._inbox.clear()
        for record in (*super().living(), *lost.backlog.handles()):
            self._leave(record)
        self.ledger.forget()
        lost.watch.let_go()
        return lost

    def _leave(self, record: Record) -> None:
        self._desk.leave_to(record)
        self._records.pop(record._number, None)
        self._note_doubt(record)

    def _leave_to_parent(self, record: Record) -> None:
        durable_of(record).acceptance = None
        self._leave(record)

    async def _clear_up(self) -> None:
        """Tell those who wait for what a lost loop may not have registered any more: the store knows."""
        doubtful = {durable_of(record).invocation_id: record for record in self._doubtful if _is_doubtful(record)}
        if not doubtful:
            return
        for stored in await self._session.store.load(list(doubtful)):
            accepted = durable_of(doubtful.pop(stored.invocation_id))
            accepted.known, accepted.failure = True, None
            tell_acceptance(accepted)
        error = StoreError("the event loop in which it was submitted was lost before the store had it; submit it again")
        for record in doubtful.values():
            self._desk.not_registered(record, error)
        self._doubtful.clear()

    @property
    def _session(self) -> Session:
        if self._opening is None:
            raise AppNotStartedError(
                f"{self._name} keeps its invocations in a store, and has to be started before its tasks are called: "
                "use `async with app:`, `app.run(main)`, or `app.lifespan`"
            )
        return self._opening

    async def stop(self) -> None:
        """Commit what has been decided, and let the store go."""
        async with self._gate.pass_through():
            await self._stop()

    async def _stop(self) -> None:
        session = self._opening
        if session is None:
            return
        await session.attendant.stop()
        for record in (*super().living(), *session.backlog.handles()):
            if not durable_of(record).ending:
                self._desk.leave_to(record)
                self._hand_over(record)
        await self.ledger.stop()
        unwritten = super().living()
        for record in unwritten:
            self._desk.leave_to(record)
            self._hand_over(record)
        if unwritten:
            log.error("the ends of %d invocations could not be stored: they will be run again", len(unwritten))
        self._doubtful[:] = filter(_is_doubtful, self._doubtful)
        self._opening = None
        await session.store.close()
        session.watch.let_go()

    def announce_stop(self) -> None:
        """Say that this process is about to stop: if it is killed before, what it has under way has not crashed."""
        if self._opening is not None:
            self._opening.attendant.announce_stop()

    @property
    def is_durable(self) -> bool:
        """Whether a store keeps what does not end here."""
        return True

    def begin_nothing_more(self) -> None:
        """Take nothing from the store that waits there."""
        if self._opening is not None:
            self._opening.attendant.take_nothing_more()

    def end_for_shutdown(self, record: Record) -> None:
        """Give back what the store keeps."""
        self._desk.stop(record)

    async def until_kin_stopped(self, record: Record) -> None:
        """Return when what the store has of the children of a cancelled invocation has ended, too."""
        if not (durable_of(record).has_kin or is_away(record)):
            return
        while self._opening is not None and (kin := await self._opening.duties.kin_of(record)):
            for child in kin:
                with suppress(InvocationNotFoundError):  # it has ended, and was forgotten
                    await child.cancel(f"its parent {cast(Handle, record).invocation_id} was cancelled")

    # -- finding -------------------------------------------------------------------------------------------------------

    def format_id(self, number: int) -> str:
        """Return the id of an invocation that lives here."""
        return super().format_id(number) if number >= 0 else cast(Handle, self._records[number]).invocation_id

    def find(self, invocation_id: str) -> Record | None:
        """Return an invocation that lives here, or a handle to a stored one."""
        known = self._find_here(invocation_id)
        if known is not None or self._opening is None:
            return known
        watch = self._opening.watch
        return watch.get(invocation_id) or watch.find(invocation_id)

    def keep_findable(self, record: Record) -> None:
        """The store spares it, and it is found there."""

    async def find_page(self, query: Query) -> InvocationPage:
        """Return a page of what the store has, with all that was decided here before the call."""
        session = self._session
        self.require_own_loop(None)
        await self.ledger.until_committed()
        page = await session.store.find(query)
        handles = [
            cast(Handle, self._find_here(stored.invocation_id) or self._session.watch.open(stored))
            for stored in page.invocations
        ]
        return InvocationPage(invocations=tuple(handles), next=page.next)

    def _task_of(self, task_id: str) -> Any:
        """Return the task that has, or had, this id, or what stands for it where none is known."""
        return self._tasks.get(task_id) or UnknownTask(self._app, task_id)

    def unknown_tasks(self) -> Mapping[str, int]:
        """Return how many invocations wait in the store for tasks that are not known here, by task id."""
        return {} if self._opening is None else self._opening.backlog.unknown.waiting

    def _find_here(self, invocation_id: str) -> Record | None:
        known = super().find(invocation_id) or self._adopted.get(invocation_id)
        if known is None and self._opening is not None and (number := self.ids.parse(invocation_id)) is not None:
            return self._opening.backlog.away.get(number)
        return known

    def stored_history(self, record: Record) -> tuple[HistoryEntry, ...] | None:
        """Return the stored history of what was not submitted here, or is not run here any more."""
        if self._opening is None or not (record._restored is not None or durable_of(record).away):
            return None
        return self._session.watch.history(cast(Handle, record).invocation_id)

    def require_loop(self, record: Record | None) -> AbstractEventLoop:
        """Return the loop on which an invocation will end, wherever it is run."""
        if record is not None and is_away(record):
            if self._opening is None or (self.ledger.has_ended and self.loop is _get_running_loop()):
                raise cast(Handle, record)._failure()
            if lost_of(record) is not None:
                self.refresh(record)  # raises, unless the store has it after all
            self._follow_from_afar(record)
        return super().require_loop(None)

    def expect(self, record: Record) -> None:
        """Let the waiters of `record` be told, who have just come, where it is not run here."""
        if self._opening is not None and is_away(record):
            self._follow_from_afar(record)

    def _hand_over(self, record: Record) -> None:
        self._records.pop(record._number, None)
        self._note_doubt(record)
        self._follow_from_afar(record)

    def _note_doubt(self, record: Record) -> None:
        if _is_doubtful(record):
            self._doubtful.append(record)

    def _adopt_late(self, record: Record) -> None:
        """Let what has been in the backlog be cancelled with its parent, which may have happened meanwhile."""
        guardian = guardian_of(record)
        if guardian is None:
            return
        if is_told_to_stop(guardian) and not durable_of(record).cleans_up:
            parent_id = cast(Handle, guardian).invocation_id  # its own: this process may have forgotten it
            self._desk.cancel(record, f"its parent {parent_id} was told to stop")
        else:
            self._adopt(guardian, record)

    def _follow_from_afar(self, record: Record) -> None:
        if self._session.watch.add(record):
            self._session.attendant.ring()

    def refresh(self, record: Record) -> None:
        """Read anew where an invocation stands that another runner has; callable in any thread."""
        if self._opening is not None:
            self._opening.watch.refresh(record)

    # -- what others take, and what lies in the store ------------------------------------------------------------------

    def _declared_dead(self) -> None:
        for record in (*super().living(), *self._session.backlog.give_up()):
            if durable_of(record).known:
                self._desk.leave_to(record)
                self._hand_over(record)
        log.error("runner %s was declared dead: what it had belongs to others now", self.runner_id)

    def _fetch(self, record: Record) -> None:
        if self._opening is not None and self._opening.backlog.fetch(record):
            self._opening.attendant.fill()

    def _fill_if_wanted(self) -> None:
        if self._opening is None or self._phase is not Phase.OPEN:
            return
        self._opening.backlog.take_back()
        if self._opening.backlog.is_wanted:
            self._opening.attendant.fill()

    # -- questions to the store ----------------------------------------------------------------------------------------

    async def last_fires(self) -> dict[str, float]:
        """Return when each schedule has fired last, in whichever process."""
        session = self._session
        self.require_own_loop(None)
        return await session.store.last_fires()

    async def backup(self, target: str) -> None:
        """Write a copy of the store to `target`, while everything goes on."""
        session = self._session
        self.require_own_loop(None)
        await session.store.backup(target)


def _is_doubtful(record: Record) -> bool:
    return record._ended_at is None and not durable_of(record).known
