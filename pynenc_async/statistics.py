"""What `app.statistics()` returns."""

import dataclasses
from collections.abc import Mapping

from pynenc_async.status import InvocationStatus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoopLag:
    """How late the event loop runs what is due, measured while bodies run. All times are seconds."""

    last: float
    average: float
    """A moving one, over some ten measurements."""
    longest: float
    blockages: int
    """How often it was later than `watchdog_seconds`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AppStatistics:
    """Where an app stands at one moment."""

    by_status: dict[InvocationStatus, int]
    """Counts of the living and retained invocations."""
    running: int
    """Slots in use."""
    running_in_threads: int
    """How many of them by bodies in threads."""
    running_in_processes: int
    """How many by bodies in worker processes, or in interpreters of their own."""
    max_concurrency: int | None
    max_threads: int
    max_processes: int
    unknown_tasks: Mapping[str, int] = dataclasses.field(default_factory=dict[str, int])
    """How many invocations wait in the store for tasks that this process does not know, by task id."""
    loop_lag: LoopLag | None = None
    """None where nobody measures it: without a watchdog, in simulated time, before the first call."""

    @property
    def living(self) -> int:
        """How many invocations have not ended."""
        return sum(count for status, count in self.by_status.items() if not status.is_final())
