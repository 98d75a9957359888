"""The statuses by names of this module, for a look-up in the enumeration costs as much as a decision; and what some share."""

from typing import Final

from pynenc_async.status import InvocationStatus

SCHEDULED: Final = InvocationStatus.SCHEDULED
REGISTERED: Final = InvocationStatus.REGISTERED
CONCURRENCY_CONTROLLED: Final = InvocationStatus.CONCURRENCY_CONTROLLED
CONCURRENCY_CONTROLLED_FINAL: Final = InvocationStatus.CONCURRENCY_CONTROLLED_FINAL
REROUTED: Final = InvocationStatus.REROUTED
PENDING: Final = InvocationStatus.PENDING
RUNNING: Final = InvocationStatus.RUNNING
PAUSED: Final = InvocationStatus.PAUSED
RESUMED: Final = InvocationStatus.RESUMED
RETRY: Final = InvocationStatus.RETRY
KILLED: Final = InvocationStatus.KILLED
SUCCESS: Final = InvocationStatus.SUCCESS
FAILED: Final = InvocationStatus.FAILED
CANCELLED: Final = InvocationStatus.CANCELLED

RUNNABLE: Final = frozenset(status for status in InvocationStatus if status.is_available_to_run())
HOLDS_SLOT: Final = frozenset({PENDING, RUNNING, RESUMED})
WAITS: Final = frozenset({SCHEDULED, REGISTERED, CONCURRENCY_CONTROLLED, REROUTED, RETRY})
"""It has not begun, or waits for its next attempt."""
