"""One entry of an invocation's history."""

import dataclasses
from datetime import UTC, datetime

from pynenc_async.status import InvocationStatus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """A transition that happened."""

    status: InvocationStatus
    timestamp: float
    """Wall time, in seconds since the epoch."""
    order: int
    """Position in the history, from 0: holds where the wall clock was set back."""
    runner_id: str
    """The runner that made the transition."""
    attempt: int
    """Which execution of the body it belongs to, from 1; 0 before the first."""
    reason: str = ""

    @property
    def at(self) -> datetime:
        """The timestamp as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.timestamp, UTC)
