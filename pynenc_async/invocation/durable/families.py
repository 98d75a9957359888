"""Children that the store has: of an attempt that was interrupted, or put off there because the window was full.

They are cancelled with the invocation that submitted them, wherever they lie: those of this process as if they were in its
memory, others by a request to the process that has them. Known by the parent's id, unless they are detached from it.

A process may die when a parent has ended and its children have not. So whoever takes over from the dead, and every start,
looks for what lives though its parent was told to stop: the store says so, and looking twice does no harm.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import msgspec

from pynenc_async.errors import InvocationTimeoutError, StoreError
from pynenc_async.family import CLEANS_UP, FIRED_BY, NOBODY_CANCELLED
from pynenc_async.guard import report_failure, serve_records
from pynenc_async.invocation.durable.backlog import MOST_TRIES, BacklogKeeper
from pynenc_async.invocation.durable.stored import Handle
from pynenc_async.invocation.durable.unknown import UnknownTask
from pynenc_async.invocation.durable.watch import Watch
from pynenc_async.outcome import ErrorData
from pynenc_async.record import Record
from pynenc_async.scheduler.durable import DurableScheduler
from pynenc_async.status import InvocationStatus
from pynenc_async.store.base import Store
from pynenc_async.store.values import Query, StoredInvocation

_LIVING: Final = tuple(status for status in InvocationStatus if not status.is_final())
_CANCELLED: Final = InvocationStatus.CANCELLED
_FAILED: Final = InvocationStatus.FAILED
_TIMEOUT: Final = f"{InvocationTimeoutError.__module__}.{InvocationTimeoutError.__qualname__}"
_PIECE: Final = 500
_decode_error: Final = msgspec.json.Decoder(ErrorData).decode


class Families:
    """Cancels what the store has of some families."""

    def __init__(
        self,
        backing: Store,
        watch: Watch,
        backlog: BacklogKeeper,
        desk: DurableScheduler,
        find_here: Callable[[str], Record | None],
    ) -> None:
        self._backing: Final = backing
        self._watch: Final = watch
        self._backlog: Final = backlog
        self._desk: Final = desk
        self._find_here: Final = find_here
        self._told: Final[deque[tuple[str, str, Query]]] = deque()
        """The id of a parent, what became of it, and what finds its children."""
        self._tries = 0
        """How often the first of them was seen to in vain."""
        self._somebody_died = True
        """Whether some may have been left behind, since the last look: by whoever was there before this start, too."""

    def note_death(self) -> None:
        """Somebody has died: look whether children were left behind."""
        self._somebody_died = True

    def put(self, parent: Record, fate: str) -> None:
        """`parent` was told to stop: see to its children."""
        parent_id = cast(Handle, parent).invocation_id
        # After a timeout there may be another attempt, whose children live; a clock that was set back hides none before.
        until = None if parent.need_more().timed_out is None else max(self._desk.clock(), self._desk.steady())
        self._told.append((parent_id, fate, _children_of(parent_id, until)))

    async def see_to_them(self) -> None:
        """Cancel the children of all that were told to stop. Raises `StoreError`; then it goes on with the next call."""
        while self._told:
            parent_id, fate, query = self._told[0]
            await self._try_to_cancel(query, {parent_id: fate})
            self._told.popleft()
        if self._somebody_died:
            stopped = Query(statuses=_LIVING, parent_statuses=(_CANCELLED, _FAILED), newest_first=False, limit=_PIECE)
            await self._try_to_cancel(stopped, None)
            self._somebody_died = False

    async def still_living(self, parent: Record) -> list[Handle]:
        """Return the children of `parent` that are tied to it, and have not ended."""
        page = await self._backing.find(_children_of(cast(Handle, parent).invocation_id, None))
        return [self._handle_of(stored) for stored in page.invocations if self._is_tied(stored)]

    async def _try_to_cancel(self, query: Query, fates: Mapping[str, str] | None) -> None:
        """Cancel what is found; whatever that raises, one family does not hold up the others for ever."""
        try:
            await self._cancel_found(query, fates)
        except StoreError:
            raise
        except Exception as error:
            self._tries += 1
            if self._tries < MOST_TRIES:
                raise
            report_failure(error, f"cancelling the children of {', '.join(fates or ()) or 'those that are gone'}")
        self._tries = 0

    async def _cancel_found(self, query: Query, fates: Mapping[str, str] | None) -> None:
        """Cancel all children that are found, by what became of their parents; None: the store says that."""
        while True:
            page = await self._backing.find(query)
            known = await self._fates_of(page.invocations) if fates is None else fates
            await self._cancel([one for one in page.invocations if one.parent_invocation_id in known], known)
            if page.next is None:
                return
            query = msgspec.structs.replace(query, after=page.next)

    async def _cancel(self, children: Sequence[StoredInvocation], fates: Mapping[str, str]) -> None:
        reasons: dict[str, str] = {}
        for stored in children:
            if self._is_tied(stored):
                parent_id = cast(str, stored.parent_invocation_id)
                reasons[stored.invocation_id] = f"its parent {parent_id} {fates[parent_id]}"
        await self._backlog.cancel_these(reasons)
        handles = [self._handle_of(stored) for stored in children if stored.invocation_id in reasons]
        serve_records(
            handles, lambda child: self._desk.cancel(child, reasons[child.invocation_id]), "cancelling a child"
        )
        self._desk.settle()

    async def _fates_of(self, children: Sequence[StoredInvocation]) -> dict[str, str]:
        parents = dict.fromkeys(one.parent_invocation_id for one in children if one.parent_invocation_id is not None)
        found = await self._backing.load(list(parents)) if parents else ()
        return {parent.invocation_id: fate for parent in found if (fate := self._fate_of(parent)) is not None}

    def _fate_of(self, parent: StoredInvocation) -> str | None:
        """Return what an invocation that has ended was told, with its children; None where it has ended by itself."""
        if parent.status is _CANCELLED:
            history = self._backing.history(parent.invocation_id)
            return "was cancelled" if history and history[-1].reason != NOBODY_CANCELLED else None
        return "timed out" if parent.error is not None and _is_timeout(parent.error, parent.invocation_id) else None

    def _handle_of(self, stored: StoredInvocation) -> Handle:
        return cast(Handle, self._find_here(stored.invocation_id) or self._watch.open(stored))

    def _is_tied(self, stored: StoredInvocation) -> bool:
        task = self._handle_of(stored)._task
        if isinstance(task, UnknownTask) or task.options.detached:  # whether an unknown one is, who knows it says
            return False
        history = self._backing.history(stored.invocation_id)
        return not history or not (history[0].reason == CLEANS_UP or history[0].reason.startswith(FIRED_BY))


def _children_of(parent_id: str, registered_before: float | None) -> Query:
    return Query(
        parent_invocation_id=parent_id,
        statuses=_LIVING,
        registered_before=registered_before,
        newest_first=False,
        limit=_PIECE,
    )


def _is_timeout(error: bytes, invocation_id: str) -> bool:
    """Whether an invocation has itself timed out: what it awaited may have, too."""
    try:
        data = _decode_error(error)
    except msgspec.MsgspecError:
        return False
    return data.type_name == _TIMEOUT and data.state.get("invocation_id") == invocation_id
