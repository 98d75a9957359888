"""Registration concurrency: which call stands in the way of its duplicates."""

import threading
from collections.abc import Callable
from typing import Any, Final

from pynenc_async.arguments import comparable
from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import UniqueUntil
from pynenc_async.record import Record

Key = tuple[str, Any]
"""Task id, and what is compared of the arguments."""


class Registry:
    """The calls that are registered, by key. Usable from any thread, under `lock`."""

    def __init__(self, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        self.lock = threading.RLock()
        self._call_later: Final = call_later
        self._standing: Final[dict[Key, Record]] = {}

    def note_fork(self) -> None:
        """In a child: the thread that held the lock is not there, and what is registered in memory was so in the parent."""
        self.lock = threading.RLock()
        self._standing.clear()

    def __len__(self) -> int:
        return len(self._standing)

    def key(self, task: Any, values: tuple[Any, ...]) -> Key:
        """Return what makes two calls of a task duplicates."""
        scope = task.options.registration_concurrency
        if scope is ConcurrencyControlType.TASK:
            return task.task_id, None
        compared = values if scope is ConcurrencyControlType.ARGUMENTS else task.key_values(values)
        return task.task_id, comparable(compared)

    def find(self, key: Key) -> Record | None:
        """Return the registered invocation that makes a call with `key` a duplicate."""
        record = self._standing.get(key)
        return record if record is not None and self._stands(record) else None

    def enter(self, key: Key, record: Record) -> None:
        """Let `record` make further calls duplicates."""
        self._standing[key] = record
        record.need_more().registration = key

    def keep_for(self, key: Key, record: Record, seconds: float) -> None:
        """Let it do so for so long, whatever becomes of it."""
        self._call_later(seconds, lambda: self.leave(key, record))

    def leave(self, key: Key, record: Record) -> None:
        """`record` stands in nobody's way any more."""
        with self.lock:
            if self._standing.get(key) is record:
                del self._standing[key]

    def ended(self, record: Record) -> None:
        """`record` has ended; only a registration for a fixed time outlives it."""
        key = record.need_more().registration
        if key is not None and record._task.options.unique_for is None:
            self.leave(key, record)

    def _stands(self, record: Record) -> bool:
        options = record._task.options
        if options.unique_for is not None:
            return True
        if options.unique_until is UniqueUntil.STARTED:
            return record._started_at is None and record._ended_at is None
        return record._ended_at is None
