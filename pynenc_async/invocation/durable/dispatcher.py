"""From a call to a stored invocation: the runtime of an app with a store.

What is submitted here is kept in memory as well, up to a window; what exceeds the window lies in the store alone (the
backlog), and is claimed as there is room again. So memory is bounded by the window, however much waits.
"""

from asyncio.events import _get_running_loop
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import msgspec

from pynenc_async.arguments import encode_values, require_encodable
from pynenc_async.execution.processes.inside import refuse_call
from pynenc_async.family import CLEANS_UP, guardian_of, is_told_to_stop
from pynenc_async.function import Function, Values
from pynenc_async.invocation.durable.overrides import write_overrides
from pynenc_async.invocation.durable.refusals import Refusals
from pynenc_async.invocation.durable.store_bound import StoreBound
from pynenc_async.invocation.durable.stored import Handle
from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import OnDuplicate, TaskOptions
from pynenc_async.record import Identity, Record
from pynenc_async.scheduler.drafts import note_waits
from pynenc_async.scheduler.durability import (
    Durable,
    durable_of,
    is_away,
    make_durable,
    require_storable,
    wait_for_acceptance,
)
from pynenc_async.scheduler.permits import unique_key, unique_of
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Fire, JournalChange, Unique

_SCHEDULED: Final = InvocationStatus.SCHEDULED
_RETRY: Final = InvocationStatus.RETRY


class DurableDispatcher(StoreBound):
    """Submits to a store, and ends what may not be registered beside what others have registered there."""

    def __init__(self, **wiring: Any) -> None:
        super().__init__(**wiring)
        self._desk.stored = self._put_away
        self._desk.refused = Refusals(self._desk, self.observers, find=self.find, became=self._let_stand).take

    # -- admission -----------------------------------------------------------------------------------------------------

    def living(self) -> list[Handle]:
        """Every invocation that this process has to bring to its end; what waits for a moment is for the next start."""
        return [record for record in super().living() if not (record._status is _SCHEDULED or _waits_for_retry(record))]

    def stubborn(self) -> list[Handle]:
        """What has not ended after it was told to: but of what only waits to be stored, the body has ended."""
        return [record for record in self.living() if not durable_of(record).ending]

    def _admit(self, parent: Record | None) -> None:
        if self.loop is None:
            refuse_call(self._name)
        self._session  # noqa: B018  raises unless the app has been started
        super()._admit(parent)

    def refusal_of(self, options: TaskOptions, function: Function) -> Callable[[Values], None]:
        """Return what raises for a call that cannot be stored: every one is, whatever its options."""

        def refuse(values: Values) -> None:
            require_encodable(function, values, items=options.runs_elsewhere)
            self._overrides(function, options, None)

        return refuse

    def check_use(self, use: Any) -> None:
        """Raise `InvalidTaskOptionsError` for a use of a task whose options cannot be stored."""
        self._overrides(use.function, use.options, None)

    def _overrides(self, function: Function, options: TaskOptions, fire: Fire | None) -> bytes:
        return write_overrides(function, self._tasks[function.task_id].options, options, fire)

    def _choose_way(self) -> None:
        self._plain_loop = self  # every invocation is written down: none takes the way that costs nothing

    async def wait_for_room(self) -> None:
        """Return when one more may be submitted; first, raise where its acceptance could not be awaited."""
        self.admit_awaited()
        await super().wait_for_room()

    # -- submission ----------------------------------------------------------------------------------------------------

    def _take_in(self, record: Record) -> None:
        try:
            make_durable(record, self._prepare(record._task, record._values, cast(Handle, record)._identity()))
            guardian = guardian_of(record)
            note_waits(record, guardian, self._desk.steady)
        except BaseException:
            del self._records[record._number]
            raise
        if record._task.options.starts_later:
            record._status = _SCHEDULED
        if guardian is not None and is_told_to_stop(guardian):
            durable_of(record).cleans_up = True
            trail = record.leave_path()
            trail[0] = (*trail[0][:3], CLEANS_UP)
        super()._take_in(record)

    def _prepare(self, task: Any, values: Values, identity: Identity) -> Durable:
        """Return what is to be stored; raise `StoreError` while nothing can be, `SerializationError` for wrong arguments."""
        if self.ledger.failure is not None:
            raise self.ledger.failure
        arguments = encode_values(task.function, values)
        task.function.result_wire  # noqa: B018  raises where nobody could tell what to make of the result
        require_storable(arguments, "arguments")
        options = task.options
        durable = Durable(
            invocation_id=identity[0],
            parent_id=identity[1],
            arguments=arguments,
            options=self._overrides(task.function, options, task.fire),
            fire=task.fire,
        )
        if options.registration_concurrency is not ConcurrencyControlType.DISABLED:
            key = self._desk.registry.key(task, values)
            replace = options.on_duplicate is OnDuplicate.REPLACE
            durable.unique = unique_of(task, key, self._desk.steady(), replace=replace)
        elif task.fires_alone:
            durable.unique = Unique(f"schedule {task.fire.schedule}")
        return durable

    def _queue(self, record: Record) -> None:
        level = record._task.options.priority
        if self._session.backlog.takes(level):
            durable, guardian = durable_of(record), guardian_of(record)
            durable.taken = False
            if guardian is not None:
                durable_of(guardian).has_kin = True
            self._session.backlog.note(level)
            self.ledger.register(record)
        else:
            self.ledger.register(record)
            super()._queue(record)

    def _put_away(self, record: Record) -> None:
        self._session.backlog.put_away(record)
        self._session.attendant.fill()
        guardian = guardian_of(record)
        if guardian is not None and is_told_to_stop(guardian) and not durable_of(record).cleans_up:
            self._desk.cancel(record, f"its parent {cast(Handle, guardian).invocation_id} was told to stop")

    def undo(self, record: Record) -> None:
        """End an invocation whose call has raised half-way; forget one that is not made durable."""
        if record._more is None or not record._more.is_stored:
            self._records.pop(record._number, None)
        else:
            super().undo(record)

    async def until_accepted(self, record: Record) -> None:
        """Return when the store holds the invocation durably.

        Raises `StoreError` where it cannot, `InvocationNotFoundError` for a handle to what it does not have.
        """
        if record._ended_at is None and is_away(record) and durable_of(record).known:
            self.require_own_loop(record)
            self.refresh(record)
        elif record._more is not None and record._more.is_stored:
            durable = durable_of(record)
            if durable.failure is not None:
                raise durable.failure
            await wait_for_acceptance(durable, self.require_own_loop(record))

    def journal_keeper(self, record: Record) -> Callable[[int], None]:
        """Return what writes the journal of a workflow down as it grows."""
        invocation_id = cast(Handle, record).invocation_id

        def keep(index: int) -> None:
            new = record.need_more().journal.entries[index:]
            entries, names = tuple(map(msgspec.json.encode, new)), tuple(entry.invocation_id for entry in new)
            change = JournalChange(invocation_id=invocation_id, index=index, entries=entries, names=names)
            if _get_running_loop() is self.loop:
                self.ledger.ask(change)
            else:  # ahead of the call that it names
                self.require_loop(None)
                self.decide_in_order(partial(self.ledger.ask, change))

        return keep

    # -- duplicates, across processes ----------------------------------------------------------------------------------

    def standing_elsewhere(self, task: Any, key: Any) -> Handle | None:
        """Return the invocation of another process that makes a call with this key a duplicate."""
        if self._opening is None:
            return None
        ids, store, now = task.function.ids, self._session.store, self._desk.steady()
        if task.options.on_duplicate is OnDuplicate.REPLACE:
            ids = ids[1:]  # whom it replaces, the store asks to be cancelled, as it registers it
        for task_id in ids:
            standing = store.standing(unique_key(task_id, key), now=now)
            if standing is not None:
                return cast("Handle | None", self.find(standing))
        return None

    def _let_stand(self, record: Record, former_id: str) -> None:
        """Let a handle that stands for another invocation now be found under the id that it had, too, and hear of its end."""
        self._adopted[former_id] = record
        self._follow_from_afar(record)

    def count_waiting(self) -> int:
        """How many wait, in memory and in the backlog."""
        return super().count_waiting() + (0 if self._opening is None else self._opening.backlog.size)


def _waits_for_retry(record: Record) -> bool:
    return record._status is _RETRY and record._more is not None and record._more.held
