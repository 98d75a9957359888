"""What a worker tells the app: at once, but for reports of progress, of which only the latest counts."""

import threading
import time
from socket import socket
from typing import Final

from pynenc_async.execution.processes.messages import FromWorker, Reported, frame
from pynenc_async.execution.processes.stopping import Stopping
from pynenc_async.execution.progress import Progress
from pynenc_async.forks import leave_child, tell_of_forks

PROGRESS_SECONDS: Final = 0.02
"""The least time between two reports of progress: faster than anybody looks, and slower than a loop that reports."""
_LARGEST: Final = 1 << 63


class Outbox:
    """The worker's half of the data channel. Several threads may write, a frame at a time."""

    def __init__(self, channel: socket, stopping: Stopping) -> None:
        self._channel: Final = channel
        self._stopping: Final = stopping
        self._lock: Final = threading.Lock()
        self._pending: list[FromWorker] = []
        self._progress: Reported | None = None
        self._reported_at = 0.0
        self._wanted: threading.Event | None = None
        """Wakes the thread that sends reports later; there is none before the first such report."""
        self._is_copy = False
        """Whether this process is a child that a body has forked off: the app hears nothing of it."""
        tell_of_forks(self)

    def note_fork(self) -> None:
        """In a child of a body: what is to be told is the parent's to tell, and the channel is the parent's alone."""
        self._is_copy = True
        self._pending, self._progress = [], None
        self._channel.close()

    def leave_copy(self, error: BaseException | None = None) -> None:
        """End a child that a body has forked off, where it leaves the body with this error; go on in the worker itself."""
        if self._is_copy:
            leave_child(error)

    def add(self, message: FromWorker) -> None:
        """Tell `message` with the next one that is sent; for the main thread."""
        self._pending.append(message)

    def send(self, *messages: FromWorker) -> None:
        """Tell what was added, and `messages`; raises `OSError` when the app is gone."""
        pending, self._pending = [*self._pending, *messages], []
        if pending:
            self._write(pending)

    def report(self, ticket: int, progress: Progress) -> None:
        """Tell how far a body is, soon; callable in any thread."""
        total = None if progress.total is None else _number(progress.total)
        message = str(progress.message).encode("utf-8", "replace").decode()
        if self._is_copy:
            return
        self._progress = Reported(ticket, _number(progress.done), total, message)
        if time.monotonic() - self._reported_at >= PROGRESS_SECONDS:
            self.flush_progress()
            return
        if self._wanted is None:
            wanted = threading.Event()
            try:
                threading.Thread(target=self._report_later, args=(wanted,), name="progress", daemon=True).start()
            except Exception:  # noqa: BLE001  the system refuses it: the next report that is due tells this one, too
                return
            self._wanted = wanted
        self._wanted.set()

    def flush_progress(self) -> None:
        """Tell the latest report, unless it was told already."""
        progress, self._progress = self._progress, None
        if progress is not None:
            self._reported_at = time.monotonic()
            self._write([progress])

    def _report_later(self, wanted: threading.Event) -> None:
        while wanted.wait():
            wanted.clear()
            time.sleep(max(0.0, self._reported_at + PROGRESS_SECONDS - time.monotonic()))
            self.flush_progress()

    def _write(self, messages: list[FromWorker]) -> None:
        data = frame(messages)
        with self._stopping.shield(), self._lock:
            self._channel.sendall(data)


def _number(value: float) -> float:
    """Return a number that a message can carry, whatever kind of number the body has reported."""
    return value if type(value) is int and abs(value) < _LARGEST else float(value)
