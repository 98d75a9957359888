"""From a call to a stored invocation: the runtime of an app with a store.

What is submitted here is kept in memory as well, up to a window; what exceeds the window lies in the store alone (the
backlog), and is claimed as there is room again. So memory is bounded by the window, however much waits.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast
from weakref import WeakValueDictionary

import msgspec

from pynenc_async.codec import PLAIN, encode
from pynenc_async.errors import AppNotStartedError, SerializationError
from pynenc_async.execution.processes.inside import refuse_call
from pynenc_async.function import Values
from pynenc_async.history import HistoryEntry
from pynenc_async.invocation.binding import Phase
from pynenc_async.invocation.dispatch import Dispatcher
from pynenc_async.invocation.duplicates import refused_duplicate
from pynenc_async.invocation.durable.attendant import Attendant
from pynenc_async.invocation.durable.backlog import BacklogKeeper
from pynenc_async.invocation.durable.overrides import write_overrides
from pynenc_async.invocation.durable.stored import Handle, follow
from pynenc_async.invocation.durable.watch import Watch
from pynenc_async.invocation.finding import InvocationPage
from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import OnDuplicate
from pynenc_async.record import Identity, Record
from pynenc_async.scheduler.durability import (
    Durable,
    durable_of,
    is_away,
    make_durable,
    tell_acceptance,
    wait_for_acceptance,
)
from pynenc_async.scheduler.durable import DurableScheduler
from pynenc_async.scheduler.permits import unique_of
from pynenc_async.scheduler.scheduler import Scheduler
from pynenc_async.status import InvocationStatus
from pynenc_async.store.base import Store
from pynenc_async.store.values import JournalChange, Query, Refusal, RefusalKind, Retention, Unique
from pynenc_async.telemetry import logger

_SCHEDULED: Final = InvocationStatus.SCHEDULED
_RETRY: Final = InvocationStatus.RETRY
MOST_FORGOTTEN: Final = 1_000
"""How much is forgotten at once: a transaction of which nobody notices anything."""
_encode_plain: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Session:
    """What an app has between its start and its stop."""

    store: Store
    watch: Watch
    backlog: BacklogKeeper
    attendant: Attendant


class DurableDispatcher(Dispatcher):
    """Submits to a store, claims from it, watches it."""

    scheduler_type: ClassVar[type[Scheduler]] = DurableScheduler

    def __init__(
        self,
        *,
        new_store: Callable[[], Store],
        tasks: Mapping[str, Any],
        window: int,
        lease_seconds: float,
        retention: Retention,
        **wiring: Any,
    ) -> None:
        super().__init__(**wiring)
        self._new_store: Final = new_store
        self._tasks: Final = tasks
        self._window: Final = window
        self._lease_seconds: Final = lease_seconds
        self._retention: Final = retention
        self._desk: Final = cast(DurableScheduler, self.scheduler)
        self._desk.hand_over = self._hand_over
        self._desk.stored = self._put_away
        self._desk.went_on = self._fill_if_wanted
        self._desk.refused = self._registration_refused
        self.ledger: Final = self._desk.ledger
        self._opening: Session | None = None
        self._adopted: Final[WeakValueDictionary[str, Record]] = WeakValueDictionary()
        """What lives here under the id of another runner, or of this process before it was started again."""
        self._has_been_open = False
        self._phase = Phase.CLOSED

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self, loop: AbstractEventLoop) -> None:
        """Open a store, take over what the dead have left, and admit calls. Raises `StoreError`."""
        if self._opening is not None and self.loop is not loop:
            await self._lose_session()
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
            await self._begin_session(store, loop)
        except BaseException:
            self._opening = None
            await self.ledger.stop()
            await store.close()
            raise

    async def _begin_session(self, store: Store, loop: AbstractEventLoop) -> None:
        watch = Watch(store, self._tasks)
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
        )
        attendant = Attendant(self, lease_seconds=self._lease_seconds)
        self._opening = Session(store, watch, backlog, attendant)
        store.listen(attendant.ring)
        self.ledger.start(store, loop)
        await backlog.recover()
        attendant.start(loop)

    def _become_another_runner(self) -> None:
        """A runner is one incarnation: a start after a stop is another one."""
        if self._has_been_open:
            self.ids.renew()
            self.runner_id = self.ids.runner_id
            for record in self._records.values():
                self._adopted[durable_of(record).invocation_id] = record
        self._has_been_open = True

    async def _lose_session(self) -> None:
        """The loop in which the store was opened is gone, and nobody has closed it: what was under way is recovered."""
        lost, self._opening = self._session, None
        for record in super().living():
            self._desk.leave_to(record)
            self._records.pop(record._number, None)
        self.ledger.forget()
        lost.watch.let_go()
        await lost.store.close()

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
        session = self._opening
        if session is None:
            return
        await session.attendant.stop()
        for record in super().living():
            self._desk.leave_to(record)
            self._hand_over(record)
        await self.ledger.stop()
        self._opening = None
        await session.store.close()
        session.watch.let_go()

    def end_for_shutdown(self, record: Record) -> None:
        """Give back what the store keeps."""
        self._desk.stop(record)

    def living(self) -> list[Handle]:
        """Every invocation that this process has to bring to its end; what waits for a moment is for the next start."""
        return [record for record in super().living() if not (record._status is _SCHEDULED or _waits_for_retry(record))]

    def _admit(self, parent: Record | None) -> None:
        if self.loop is None:
            refuse_call(self._name)
        self._session  # noqa: B018  raises unless the app has been started
        super()._admit(parent)

    def _choose_way(self) -> None:
        self._plain_loop = self  # every invocation is written down: none takes the way that costs nothing

    # -- submission ----------------------------------------------------------------------------------------------------

    def _take_in(self, record: Record) -> None:
        try:
            make_durable(record, self._prepare(record._task, record._values, cast(Handle, record)._identity()))
        except BaseException:
            del self._records[record._number]
            raise
        if record._task.options.starts_later:
            record._status = _SCHEDULED
        super()._take_in(record)

    def _prepare(self, task: Any, values: Values, identity: Identity) -> Durable:
        """Return what is to be stored; raise `StoreError` while nothing can be, `SerializationError` for wrong arguments."""
        if self.ledger.failure is not None:
            raise self.ledger.failure
        own, options = self._tasks[task.task_id].options, task.options
        durable = Durable(
            invocation_id=identity[0],
            parent_id=identity[1],
            arguments=_encode_arguments(task, values),
            options=write_overrides(own, options, task.fire),
        )
        durable.fire = task.fire
        if options.registration_concurrency is not ConcurrencyControlType.DISABLED:
            key = self._desk.registry.key(task, values)
            replace = options.on_duplicate is OnDuplicate.REPLACE
            durable.unique = unique_of(task, key, self._desk.clock(), replace=replace)
        elif task.fires_alone:
            durable.unique = Unique(f"schedule {task.fire.schedule}")
        return durable

    def _queue(self, record: Record) -> None:
        self.ledger.register(record)
        level = record._task.options.priority
        if self._session.backlog.takes(level):
            durable_of(record).taken = False
            self._session.backlog.note(level)
        else:
            super()._queue(record)

    def _put_away(self, record: Record) -> None:
        self._session.backlog.put_away(record)
        self._session.attendant.fill()

    async def until_accepted(self, record: Record) -> None:
        """Return when the store holds the invocation durably. Raises `StoreError` where it cannot."""
        if record._more is not None and record._more.is_stored:
            await wait_for_acceptance(durable_of(record), self.require_own_loop(record))

    def journal_keeper(self, record: Record) -> Callable[[int], None]:
        """Return what writes the journal of a workflow down as it grows."""
        invocation_id = cast(Handle, record).invocation_id

        def keep(index: int) -> None:
            entries = tuple(map(msgspec.json.encode, record.need_more().journal.entries[index:]))
            change = JournalChange(invocation_id=invocation_id, index=index, entries=entries)
            self.decide(self.ledger.ask, change)

        return keep

    # -- duplicates, across processes ----------------------------------------------------------------------------------

    def standing_elsewhere(self, task: Any, key: Any) -> Handle | None:
        """Return the invocation of another process that makes a call with this key a duplicate."""
        if self._opening is None or task.options.on_duplicate is OnDuplicate.REPLACE:
            return None
        now = self._desk.clock()
        standing = self._session.store.standing(unique_of(task, key, now, replace=False).key, now=now)
        return None if standing is None else cast("Handle | None", self.find(standing))

    def _registration_refused(self, record: Record, refusal: Refusal) -> None:
        durable, task = durable_of(record), record._task
        if refusal.kind is RefusalKind.FIRED:
            self._desk.forget(
                record, InvocationStatus.CANCELLED, None, "another process runs this fire of the schedule"
            )
        elif task.fires_alone and task.options.registration_concurrency is ConcurrencyControlType.DISABLED:
            reason = f"the previous run of the schedule, invocation {refusal.detail}, lives in another process"
            self._desk.forget(record, InvocationStatus.CANCELLED, None, reason)
        elif task.options.on_duplicate is OnDuplicate.REUSE and (standing := self.find(refusal.detail)) is not None:
            self._desk.leave_to(record)
            self._records.pop(record._number, None)
            follow(record, standing)
        else:
            durable.failure = refused_duplicate(task, refusal.detail)
            self._desk.forget(
                record, InvocationStatus.CONCURRENCY_CONTROLLED_FINAL, durable.failure, str(durable.failure)
            )
        tell_acceptance(durable)

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

    async def find_page(self, query: Query) -> InvocationPage:
        """Return a page of what the store has; invocations of tasks that are not known here are left out."""
        await self.ledger.flush()
        page = await self._session.store.find(query)
        handles = [
            cast(Handle, self._find_here(stored.invocation_id) or self._session.watch.open(stored))
            for stored in page.invocations
            if stored.task_id in self._tasks
        ]
        return InvocationPage(invocations=tuple(handles), next=page.next)

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
            if self._opening is None:
                raise cast(Handle, record)._failure()
            self._follow_from_afar(record)
        return super().require_loop(None)

    def _hand_over(self, record: Record) -> None:
        self._records.pop(record._number, None)
        self._follow_from_afar(record)

    def _follow_from_afar(self, record: Record) -> None:
        if self._session.watch.add(record):
            self._session.attendant.ring()

    def refresh(self, record: Record) -> None:
        """Read anew where an invocation stands that another runner has; callable in any thread."""
        if self._opening is not None:
            self._opening.watch.refresh(record)

    # -- duties of the attendant ---------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Take over what belongs to the dead."""
        await self._session.backlog.recover()

    async def look_around(self) -> None:
        """See what others have ended, and what they ask for."""
        if not self._session.store.alive:
            await self._come_back_to_life()
        await self._session.watch.look()
        for request in await self._session.store.cancel_requests():
            record = self._find_here(request.invocation_id)
            if record is not None and record._ended_at is None:
                self._desk.cancel(record, request.reason)
        self._desk.look_again()
        self._desk.settle()

    async def fill_up(self) -> float | None:
        """Claim as much of the backlog as there is room for; say in how many seconds more of it is due."""
        return await self._session.backlog.fill_up() if self._phase is Phase.OPEN else None

    async def tidy_up(self) -> bool:
        """Forget some of what has ended long ago; say whether there is more of it."""
        forgotten = await self._session.store.purge(self._retention, now=self._desk.clock(), limit=MOST_FORGOTTEN)
        return forgotten == MOST_FORGOTTEN

    async def last_fires(self) -> dict[str, float]:
        """Return when each schedule has fired last, in whichever process."""
        return await self._session.store.last_fires()

    async def backup(self, target: str) -> None:
        """Write a copy of the store to `target`, while everything goes on."""
        await self._session.store.backup(target)

    def _fill_if_wanted(self) -> None:
        if self._opening is not None and self._opening.backlog.is_wanted:
            self._opening.attendant.fill()

    def count_waiting(self) -> int:
        """How many wait, in memory and in the backlog."""
        return super().count_waiting() + (0 if self._opening is None else self._opening.backlog.size)

    async def _come_back_to_life(self) -> None:
        logger.error("runner %s was declared dead: what it had belongs to others now", self.runner_id)
        for record in super().living():
            if durable_of(record).known:
                self._desk.leave_to(record)
                self._hand_over(record)
        await self._session.store.rejoin()


def _waits_for_retry(record: Record) -> bool:
    return record._status is _RETRY and record._more is not None and record._more.held


def _encode_arguments(task: Any, values: Values) -> bytes:
    for value in values:
        if type(value) not in PLAIN:
            break
    else:
        try:
            return _encode_plain(task.function.values_type(*values))
        except (ValueError, OverflowError):
            pass  # msgspec cannot say which value it choked on: `encode` can
    try:
        return encode(dict(zip(task.function.names, values, strict=True)), field="arguments")
    except SerializationError as error:
        raise SerializationError(error.field, f"{error.problem} (task {task.task_id})") from error
