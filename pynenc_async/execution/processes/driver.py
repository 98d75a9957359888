"""A body on its way to a worker, or in one."""

from collections import deque
from typing import Any, Final, Protocol

from pynenc_async.record import Record


class Pool(Protocol):
    """Who runs bodies; `pool.Processes` is it."""

    def revoke(self, body: "BodyDriver") -> bool:
        """Take the body back before it begins; say whether that was possible."""
        ...

    def stop(self, body: "BodyDriver") -> None:
        """Tell the body to stop."""
        ...

    def insist(self, body: "BodyDriver") -> bool:
        """Make the body stop; say whether that is possible."""
        ...


class BodyDriver:
    """What the scheduler holds of a body in another process."""

    __slots__ = (
        "_pool", "arguments", "begun", "credit", "final", "held", "losses", "record", "resting", "stopping", "task", "ticket",
        "window", "worker",
    )  # fmt: skip

    def __init__(self, record: Record, pool: Pool) -> None:
        self._pool: Final = pool
        self.record: Final = record
        self.arguments = b""
        self.task = 0
        """The number by which workers know the task."""
        self.worker: Any = None
        """The worker to which it was sent; None: it waits for one, or has ended."""
        self.ticket = 0
        self.begun = False
        self.stopping = False
        """Whether it was told to stop; how it has ended is then told when its worker is gone."""
        self.final: tuple[bool, Any] | None = None
        """How it has ended, if that is still to be told."""
        self.losses = 0
        """How many workers have died after they had taken it, and before they had begun it."""
        self.window = 0
        """How many items may be on their way; 0 for what yields none."""
        self.credit = 0
        """How many items were taken, and not told of yet."""
        self.held: deque[Any] | None = None
        """Items for which the stream has no room."""
        self.resting = False
        """Whether it waits for room, without its slot."""

    def revoke(self) -> bool:
        """Take the body back before it begins; say whether that was possible."""
        return self._pool.revoke(self)

    def cancel(self, reason: str) -> None:
        """Tell the body to stop."""
        del reason
        self._pool.stop(self)

    def insist(self) -> bool:
        """Make the body stop; say whether that is possible."""
        return self._pool.insist(self)

    def leave_behind(self) -> bool:
        """A body in a process stops, or is killed."""
        return False
