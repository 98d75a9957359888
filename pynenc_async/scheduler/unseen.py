"""Failures that nobody has taken yet: each is logged a second after its end, unless an awaiter has taken it by then.

The alarm of a failure hangs on the handles of users, and sounds when the last of them goes. But handles may be kept for
ever, be it by the traceback of the failure itself; so a timer looks as well. It holds no alarm, and no handle.
"""

import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from pynenc_async.telemetry import Alarm

_PATIENCE: Final = 1.0
"""Seconds."""


class Unseen:
    """The alarms that have not sounded, and the timer for the oldest."""

    def __init__(self) -> None:
        self._alarms: Final[deque[tuple[float, weakref.ref[Alarm]]]] = deque()
        self._passed: Callable[[], float] | None = None
        self._call_later: Callable[[float, Callable[[], None]], object] | None = None
        self._is_timed = False

    def bind(self, passed: Callable[[], float], call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """Use the timers of a loop."""
        self._passed, self._call_later = passed, call_later

    def add(self, alarm: Alarm) -> None:
        """Let an alarm sound in a second at the latest; outside of a loop, when the last handle goes."""
        if self._passed is None or self._call_later is None:
            return
        self._alarms.append((self._passed() + _PATIENCE, weakref.ref(alarm)))
        if not self._is_timed:
            self._set_timer(self._call_later, _PATIENCE)

    def leave_loop(self) -> None:
        """Use no timers any more: the loop is gone."""
        self._call_later, self._is_timed = None, False
        self.sound_all()

    def sound_all(self) -> None:
        """Sound what nobody has waited for, for no timer will. The others sound when the last handle goes."""
        alarms = [alarm() for _, alarm in self._alarms]
        self._alarms.clear()
        for alarm in alarms:
            if alarm is not None and not alarm.was_awaited:
                alarm.sound()

    def forget(self) -> None:
        """Leave them to the parent, in a forked child."""
        self._alarms.clear()

    def _set_timer(self, call_later: Callable[[float, Callable[[], None]], object], seconds: float) -> None:
        self._is_timed = True
        mine: weakref.ref[Unseen] = weakref.ref(self)
        call_later(seconds, lambda: _look(mine))

    def look(self) -> None:
        """Sound what is due, and look again when the next one is."""
        self._is_timed = False
        if self._passed is None or self._call_later is None:
            return  # a timer of a loop that was left
        now, alarms = self._passed(), self._alarms
        while alarms and (alarms[0][1]() is None or alarms[0][0] <= now):
            alarm = alarms.popleft()[1]()
            if alarm is not None:
                alarm.sound()
        if alarms:
            self._set_timer(self._call_later, max(0.0, alarms[0][0] - now))


def _look(unseen: "weakref.ref[Unseen]") -> None:
    """Look, if the app is still there."""
    mine = unseen()
    if mine is not None:
        mine.look()
