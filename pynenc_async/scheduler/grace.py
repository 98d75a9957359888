"""Who was told to stop, and should have stopped by now.

Those of whom each has equally long stand in one line, in the order in which their time is up; those who were told at the
same moment, such as the members of a tree, together. Telling costs a place in a list, and stopping in time costs nothing:
the line keeps numbers, and sees who is left when somebody's time is up. An entry on the agenda for each, taken back when
it stops, was a quarter of what cancelling a tree cost.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from pynenc_async.guard import serve_records
from pynenc_async.record import Record
from pynenc_async.scheduler.agenda import SLACK, TurnstileTimers

Told = tuple[float, list[int]]
"""A moment, on the agenda's clock, and the numbers of those who were told then."""


class Grace:
    """Calls `overdue` for each record that was told to stop, and has not when its grace ends."""

    def __init__(
        self, timers: TurnstileTimers, find: Callable[[int], Record | None], overdue: Callable[[Any], None]
    ) -> None:
        self._timers: Final = timers
        self._find: Final = find
        self._overdue: Final = overdue
        self._lines: Final[dict[float, deque[Told]]] = {}
        """By how many seconds they have. Of a line that exists, the first look is on the agenda."""

    def begin(self, told: Iterable[Record], now: float) -> None:
        """These are told to stop `now`; their records say so in `told_at`, and no longer when they have stopped."""
        numbers: dict[float, list[int]] = {}
        for record in told:
            numbers.setdefault(record._task.options.cancel_grace, []).append(record._number)
        for seconds, together in numbers.items():
            line = self._lines.get(seconds)
            if line is None:
                line = self._lines[seconds] = deque()
                self._timers.call_later(seconds, partial(self._look, seconds))
            line.append((now, together))

    def _look(self, seconds: float) -> None:
        """Report those whose time is up, and look again when the time of the first who has not stopped is."""
        line, now = self._lines[seconds], self._timers.now()
        while line:
            told_at, numbers = line[0]
            left = [record for number in numbers if (record := self._find(number)) and _goes_on(record, told_at)]
            wait = told_at + seconds - now
            if left and wait > SLACK:
                self._timers.call_later(wait, partial(self._look, seconds))
                return
            line.popleft()
            serve_records(left, self._overdue, "dealing with an invocation that did not stop")
        del self._lines[seconds]


def _goes_on(record: Record, told_at: float) -> bool:
    """Whether it is still the attempt that was told then, and was not told again since."""
    return record._ended_at is None and record._more is not None and record._more.told_at == told_at
