"""What an app with a store does in its own way: here as it is done in memory, where nothing outlives the process."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from pynenc_async.errors import PynencError
from pynenc_async.history import HistoryEntry
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.record import Record


class Unstored:
    """The part of a runtime that knows whether there is a store: there is none."""

    has_store: ClassVar[bool] = False
    """Whether there may be invocations of which this process knows nothing."""

    def __init__(self, name: str) -> None:
        self._name: Final = name

    async def stop(self) -> None:
        """Nothing lives any more, and nothing is admitted."""

    async def leave_closed_loop(self) -> None:
        """The app is shut down in another loop than its own, which is closed: let go of what was to end there."""

    def announce_stop(self) -> None:
        """Say, to others, that this process is about to stop: there is nobody who would take over."""

    async def until_accepted(self, record: Record) -> None:
        """Return when the store holds the invocation durably: at once in memory."""

    def unknown_tasks(self) -> Mapping[str, int]:
        """Return how many invocations wait for tasks that are not known here, by task id: in memory there are none."""
        return {}

    def expect(self, record: Record) -> None:
        """Let the waiters of `record` be told, who have just come, where it is not run here: in memory, all is."""

    def journal_keeper(self, record: Record) -> Callable[[int], None] | None:
        """Return what writes the journal of a workflow down as it grows; None in memory."""
        del record
        return None

    def standing_elsewhere(self, task: Any, key: Any) -> DistributedInvocation[Any, Any] | None:
        """Return the invocation of another process that makes a call with this key a duplicate."""
        del task, key
        return None

    def stored_history(self, record: Record) -> tuple[HistoryEntry, ...] | None:
        """Return the history of an invocation whose record does not know it; None where it does."""
        del record
        return None

    async def last_fires(self) -> dict[str, float]:
        """Return when each schedule has fired last, as far as that outlives the process: not in memory."""
        return {}

    async def backup(self, target: str) -> None:
        """Raise: what is in memory alone has no copy."""
        raise PynencError(f"{self._name} keeps nothing outside of its memory, so {target!r} could not be written")
