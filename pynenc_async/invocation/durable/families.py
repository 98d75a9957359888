"""Children that the store has: of an attempt that was interrupted, or put off there because the window was full.

They are cancelled with the invocation that submitted them, wherever they lie: those of this process as if they were in its
memory, others by a request to the process that has them. Known by the parent's id, unless they are detached from it.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, cast

from pynenc_async.invocation.durable.backlog import BacklogKeeper
from pynenc_async.invocation.durable.stored import Handle
from pynenc_async.invocation.durable.watch import Watch
from pynenc_async.record import Record
from pynenc_async.scheduler.durability import durable_of
from pynenc_async.scheduler.durable import DurableScheduler
from pynenc_async.status import InvocationStatus
from pynenc_async.store.base import Store
from pynenc_async.store.values import Query, StoredInvocation

_LIVING: Final = tuple(status for status in InvocationStatus if not status.is_final())
_PIECE: Final = 500


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
        self._told: Final[deque[tuple[str, str, float]]] = deque()
        """The id of a parent, why its children stop, and when it was told: what it submits from then on is to clean up."""

    def put(self, parent: Record, fate: str) -> None:
        """`parent` was told to stop: see to its children."""
        parent_id = cast(Handle, parent).invocation_id
        self._told.append((parent_id, f"its parent {parent_id} {fate}", self._desk.clock()))

    async def see_to_them(self) -> None:
        """Cancel the children of all that were told to stop. Raises `StoreError`; then it goes on with the next call."""
        while self._told:
            await self._cancel_children(*self._told[0])
            self._told.popleft()

    async def _cancel_children(self, parent_id: str, reason: str, told_at: float) -> None:
        after: str | None = None
        while True:
            query = Query(
                parent_invocation_id=parent_id,
                statuses=_LIVING,
                registered_before=told_at,
                newest_first=False,
                limit=_PIECE,
                after=after,
            )
            page = await self._backing.find(query)
            tied = [handle for handle in map(self._handle_of, page.invocations) if self._is_tied(handle)]
            ids = [handle.invocation_id for handle in tied]
            await self._backlog.claim_these([one for one in ids if self._find_here(one) is None])
            for handle in tied:
                self._desk.cancel(self._find_here(handle.invocation_id) or handle, reason)
            self._desk.settle()
            after = page.next
            if after is None:
                return

    def _handle_of(self, stored: StoredInvocation) -> Handle:
        return cast(Handle, self._find_here(stored.invocation_id) or self._watch.open(stored))

    def _is_tied(self, handle: Handle) -> bool:
        if handle._task.options.detached or durable_of(handle).cleans_up:
            return False
        history = self._backing.history(handle.invocation_id)
        return not (history and history[0].reason.startswith("fired by trigger"))  # which names its cause as a parent
