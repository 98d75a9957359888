"""What becomes of a call that the store has not registered, because of what others have registered there.

Two processes may make the same unique call at the same moment: both look, neither finds the other, both commit. The store
registers one. The handle of the other call has been given out by then, so it becomes a handle to the invocation that
stands: from there on it has the id, the status, the history and the end of that one, and cancels that one.
"""

from collections.abc import Callable
from typing import Any, Final, cast

from pynenc_async.errors import ConcurrencyLimitError, InvocationNotFoundError, StoreError
from pynenc_async.family import is_told_to_stop, leave_family
from pynenc_async.invocation.duplicates import refused_duplicate, refused_reuse
from pynenc_async.invocation.durable.stored import Handle, become
from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import OnDuplicate
from pynenc_async.record import Record
from pynenc_async.scheduler.drafts import Draft
from pynenc_async.scheduler.durability import durable_of, tell_acceptance
from pynenc_async.scheduler.durable import DurableScheduler
from pynenc_async.scheduler.observers import Observers
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import NewInvocation, Refusal, RefusalKind

_CANCELLED: Final = InvocationStatus.CANCELLED
_DROPPED: Final = InvocationStatus.CONCURRENCY_CONTROLLED_FINAL


class Refusals:
    """Decides what a refused registration becomes."""

    def __init__(
        self,
        desk: DurableScheduler,
        observers: Observers,
        *,
        find: Callable[[str], Record | None],
        became: Callable[[Record, str], None],
    ) -> None:
        self._desk: Final = desk
        self._observers: Final = observers
        self._find: Final = find
        self._became: Final = became
        """Called with a handle that stands for another invocation now, and the id that it had before."""

    def take(self, draft: Draft, refusal: Refusal) -> None:
        """Take note of a refusal; whoever waits for the acceptance goes on."""
        record, task = draft.record, draft.record._task
        more = durable_of(record)
        if refusal.kind is RefusalKind.FIRED:
            self._desk.forget(record, _CANCELLED, None, "another process runs this fire of the schedule")
        elif refusal.kind is not RefusalKind.DUPLICATE:
            self._desk.not_registered(record, _foreign(more.invocation_id, refusal))
        elif task.fires_alone and task.options.registration_concurrency is ConcurrencyControlType.DISABLED:
            reason = f"the previous run of the schedule, invocation {refusal.detail}, lives in another process"
            self._desk.forget(record, _CANCELLED, None, reason)
        elif task.options.on_duplicate is OnDuplicate.SKIP:
            self._drop(draft, f"a duplicate of {refusal.detail}")
            return  # accepted once that is stored
        else:
            self._reuse(record, refusal.detail)
        tell_acceptance(more)

    def _reuse(self, record: Record, standing_id: str) -> None:
        standing = self._find(standing_id)
        failure = _reason_not_to_reuse(record, standing, standing_id)
        if failure is not None or standing is None:
            durable_of(record).failure = failure
            self._desk.forget(record, _DROPPED, failure, str(failure))
        else:
            self._let_stand(record, standing)

    def _let_stand(self, record: Record, standing: Record) -> None:
        """Let the handle stand for the other invocation; a cancellation that it was asked for holds for that one."""
        more, parent = durable_of(record), record._parent
        before, reason = more.invocation_id, more.cancel_reason
        self._announce(record, cast(Handle, standing).invocation_id)
        self._desk.ledger.drop(record)
        if not more.away:
            self._desk.leave_to(record)
        if isinstance(parent, Record):
            if is_told_to_stop(parent):
                reason = None  # it was told so as a child of its submitter, which the other one is not
            leave_family(record, parent)
        self._desk.store.records.pop(record._number, None)
        become(record, standing)
        if isinstance(parent, Record) and parent._more is not None and parent._more.journal is not None:
            parent._more.journal.answered_by(record, cast(Handle, record).invocation_id)
        self._became(record, before)
        if reason is not None:
            self._desk.cancel(record, reason)

    def _announce(self, record: Record, standing_id: str) -> None:
        """Tell observers what becomes of the id under which the call was announced."""
        if self._observers:
            now, reason = self._desk.clock(), f"a duplicate of {standing_id}"
            self._observers.announce(record, record._status, _DROPPED, now, 0, reason)

    def _drop(self, draft: Draft, reason: str) -> None:
        """End the invocation by the policy of its task, and have the store keep that: its id was given out."""
        error = ConcurrencyLimitError(durable_of(draft.record).invocation_id, f"dropped: {reason}")
        arguments = cast(NewInvocation, draft.change).arguments
        self._desk.register_dropped(draft.record, arguments, error, reason)


def _reason_not_to_reuse(record: Record, standing: Record | None, standing_id: str) -> Exception | None:
    task: Any = record._task
    if task.options.on_duplicate is OnDuplicate.RAISE:
        return refused_duplicate(task, standing_id)
    if standing is None:
        return InvocationNotFoundError(standing_id)
    return refused_reuse(task, cast(Handle, standing), record._values)


def _foreign(invocation_id: str, refusal: Refusal) -> StoreError:
    if refusal.kind is RefusalKind.EXISTS:
        return StoreError(
            f"invocation {invocation_id} is in the store already, registered by runner {refusal.detail}: this call was not "
            "registered. Two runners must not use one id; start the app anew in this process, and call again"
        )
    return StoreError(f"the store has not registered invocation {invocation_id}: {refusal.kind} {refusal.detail}")
