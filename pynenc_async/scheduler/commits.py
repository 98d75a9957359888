"""Commits to a store, and what a refusal in their answer means."""

from pynenc_async.errors import InvocationStatusError
from pynenc_async.store.base import Store
from pynenc_async.store.values import Change, Refusal, RefusalKind
from pynenc_async.telemetry import log


async def commit(store: Store, changes: list[Change]) -> list[Refusal | None]:
    """Commit; a change that the status table forbids is refused alone, for a batch must not wait for it for ever."""
    try:
        return await store.commit(changes)
    except InvocationStatusError as error:
        if len(changes) == 1:
            log.exception("a change was decided that the status table forbids: %r", changes[0])
            return [Refusal(RefusalKind.STALE, str(error))]
        refusals: list[Refusal | None] = []
        for change in changes:
            refusals += await commit(store, [change])
        return refusals


def is_lost(refusal: Refusal) -> bool:
    """Whether a refusal says that somebody else has the invocation now."""
    return refusal.kind in (RefusalKind.STALE, RefusalKind.UNKNOWN)
