"""One entry of an invocation's history."""

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import accumulate

from pynenc_async.status import InvocationStatus


def told_in_order(moments: Iterable[float]) -> Iterator[float]:
    """Yield the moments of a history as they are told: what a clock that was set back dates too early, not before the last.

    So a history tells no lie about what came first, and time stands still in it until the clock has caught up.
    """
    return accumulate(moments, max)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """A transition that happened."""

    status: InvocationStatus
    timestamp: float
    """Wall time, in seconds since the epoch; never earlier than that of the entry before: see `told_in_order`."""
    order: int
    """Position in the history, from 0."""
    runner_id: str
    """The runner that made the transition."""
    attempt: int
    """Which execution of the body it belongs to, from 1; 0 before the first."""
    reason: str = ""

    @property
    def at(self) -> datetime:
        """The timestamp as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.timestamp, UTC)
