"""How far a body is: reported from inside of it, wherever it runs, and watched from outside.

Reports are coalesced: who watches sees the latest one, and never waits for an older.
"""

from asyncio import AbstractEventLoop
from asyncio.events import _get_running_loop
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pynenc_async.context import CURRENT
from pynenc_async.record import Record


@dataclass(frozen=True, slots=True)
class Progress:
    """What a body has reported last."""

    done: float
    total: float | None = None
    """None: not known."""
    message: str = ""

    @property
    def fraction(self) -> float | None:
        """How much of the whole is done, from 0 to 1; None when that is not known."""
        return None if not self.total else min(1.0, max(0.0, self.done / self.total))


class Board:
    """Where the reports of one invocation are put up."""

    __slots__ = ("_signals", "_told", "latest", "version")

    def __init__(self) -> None:
        self.latest: Progress | None = None
        self.version = 0
        """Counts the reports."""
        self._signals: dict[Any, None] = {}
        self._told = False
        """Whether the loop has been told, and has not looked yet."""

    def put_up(self, progress: Progress, loop: AbstractEventLoop | None) -> None:
        """Show `progress` to whoever watches in `loop`; callable in any thread."""
        self.latest = progress
        self.version += 1
        if loop is None or _get_running_loop() is loop:
            self._wake()
        elif not self._told:
            self._told = True
            with suppress(RuntimeError):  # the loop is closed: nobody watches
                loop.call_soon_threadsafe(self._wake)

    def when_changed(self, signal: Any) -> None:
        """Notify `signal` once, at the next report."""
        self._signals[signal] = None

    def forget(self, signal: Any) -> None:
        """Do not notify `signal` any more."""
        self._signals.pop(signal, None)

    def leave_loop(self) -> None:
        """Whoever watched is gone with the loop."""
        self._signals.clear()
        self._told = False

    def _wake(self) -> None:
        self._told = False
        signals, self._signals = self._signals, {}
        for signal in signals:
            signal.notify()


def board_of(record: Record) -> Board:
    """Return the board of an invocation, made on first use."""
    more = record.need_more()
    if more.progress is None:
        more.progress = Board()
    board: Board = more.progress
    return board


def report_progress(done: float, total: float | None = None, message: str = "") -> None:
    """Say how far the running invocation is; callable in any body, wherever it runs. Outside of one, nothing happens."""
    current: Final = CURRENT.get()
    if current is not None:
        current.take_progress(Progress(done, total, message))
