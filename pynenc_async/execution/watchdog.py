"""The watchdog: says which body blocks the event loop, for how long, and where in its code.

**Theory of operation.** While bodies are under way, a timer beats in the loop; a thread looks whether it still does. Both
rest when nothing runs: the next carrier that is started wakes them, and costs nothing more than a look at a flag.

A beat that is overdue by more than `seconds` is a blockage. The timer beats four times in that span, so a blockage is
noticed after `seconds` and a quarter at the latest, and never before `seconds`. Then the stack of the loop's thread is
read (`blockage`). What has blocked the loop for how long is logged by the thread, as soon as the loop beats again.

**What is no blockage.** When the whole process was stopped (a suspended machine, SIGSTOP), the clock jumps over the
thread, too: it counts its own waits, and no single one for more than it asked for. A call that holds the interpreter's
lock stops the thread as well, but uses the processor meanwhile: that is told without a stack. A debugger that holds the
loop up is left alone, and so is a loop that is not running.
"""

import sys
import threading
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

from pynenc_async.clock import SimulatedLoop
from pynenc_async.execution.blockage import Sighting, look
from pynenc_async.execution.hiring import why
from pynenc_async.printable import Lines
from pynenc_async.statistics import LoopLag
from pynenc_async.telemetry import log

BEATS: Final = 4
"""How often the timer beats, and the thread looks, in the time after which a loop counts as blocked."""
_SURE: Final = 2.5
"""For how many beats the thread must have waited in vain, or the loop have worked: a jump of the clock proves nothing."""
LINGER_SECONDS: Final = 1.0
"""How long the thread waits for new work before it ends: starting another one is not free."""
_JOIN_SECONDS: Final = 1.0
_SMOOTHING: Final = 0.1
_NEVER: Final = -1
_NOBODY: Final[dict[str, str]] = {}


class LagMeter:
    """How late the timer of a loop is."""

    def __init__(self) -> None:
        self.last = 0.0
        self.longest = 0.0
        self.average = 0.0
        self.blockages = 0

    def add(self, lag: float) -> None:
        """Take in one more beat, which was so many seconds late."""
        self.last = lag
        self.longest = max(self.longest, lag)
        self.average += (lag - self.average) * _SMOOTHING

    def read(self) -> LoopLag:
        """Say how late it was so far."""
        return LoopLag(last=self.last, average=self.average, longest=self.longest, blockages=self.blockages)


class Watchdog:
    """Watches the loop of one app."""

    def __init__(self, seconds: float | None, is_busy: Callable[[], bool]) -> None:
        self._seconds: Final = seconds or 0.0
        self._interval: Final = self._seconds / BEATS
        self._is_busy: Final = is_busy
        self._meter: Final = LagMeter()
        self.is_on = False
        """Whether there is anything to watch: a loop in real time, and somebody who asked for it."""
        self.is_resting = False
        """Whether `wake` is to be called when bodies are about to run."""
        self._loop: AbstractEventLoop | None = None
        self._timer: TimerHandle | None = None
        self._context: Final = Context()
        """The timer must not pin the context of the body that happened to wake it."""
        self._loop_thread = 0
        # Written in the loop, read in the thread.
        self._beats = 0
        self._due = 0.0
        self._cpu = 0.0
        self._ended: Final[deque[tuple[int, float]]] = deque()
        """Blockages that are over: after which beat, and how long they were."""
        # Written in the thread, read in the loop.
        self._seen_beats = _NEVER
        self._observed = 0.0
        """For how long the thread itself has waited for the next beat."""
        self._excused = _NEVER
        """The beat after which there was a reason for its being late."""
        self._reported = _NEVER
        """The beat whose being late was reported."""
        # The thread's alone.
        self._culprit: str | None = None
        """Who is to blame; None: it is not ours to say."""
        self._ids = _NOBODY
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        """None from the moment in which it decides to end."""
        self._is_stopping = False
        self._was_refused = False
        """Whether it was logged that the system refuses the thread."""

    def read(self) -> LoopLag | None:
        """Say how late the loop was so far; None where nothing is watched."""
        return self._meter.read() if self.is_on else None

    # -- in the loop ---------------------------------------------------------------------------------------------------

    def bind(self, loop: AbstractEventLoop) -> None:
        """Watch `loop` from now on, as soon as something runs there."""
        self._hush()
        self._loop = loop
        self.is_on = self.is_resting = self._seconds > 0 and not isinstance(loop, SimulatedLoop)

    def note_fork(self) -> None:
        """In a child: the thread and the loop are the parent's."""
        self._loop = self._timer = self._thread = None
        self._condition = threading.Condition()
        self.is_on = self.is_resting = False

    def wake(self) -> None:
        """Bodies are about to run."""
        self.is_resting = False
        self._loop_thread = threading.get_ident()
        self._beat_next(time.monotonic())
        self._call_thread()

    def stop(self) -> None:
        """Watch no more until `wake` is called; the thread has ended when this returns."""
        if self._timer is not None:
            self._measure(time.monotonic())
        self._hush()
        self.is_resting = self.is_on
        with self._condition:
            thread = self._thread
            self._is_stopping = True
            self._condition.notify()
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(_JOIN_SECONDS)

    def _hush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat_next(self, now: float) -> None:
        self._beats += 1
        self._due = now + self._interval
        self._cpu = time.thread_time()
        loop: AbstractEventLoop = self._loop  # type: ignore[assignment]  # it is bound
        self._timer = loop.call_later(self._interval, self._beat, context=self._context)

    def _beat(self) -> None:
        now = time.monotonic()
        self._measure(now)
        if self._is_busy():
            self._beat_next(now)
            if self._thread is None:
                self._call_thread()
        else:
            self._timer = None
            self.is_resting = True

    def _measure(self, now: float) -> None:
        lag = max(0.0, now - self._due)
        if lag < self._seconds:
            self._meter.add(lag)
        elif not self._has_excuse(lag):
            self._meter.add(lag)
            self._meter.blockages += 1
            self._ended.append((self._beats, lag))

    def _has_excuse(self, lag: float) -> bool:
        """Whether the beat is late for a reason that is nobody's fault."""
        if self._excused == self._beats:
            return True
        if self._reported == self._beats:
            return False
        observed = self._observed if self._seen_beats == self._beats else 0.0
        if time.thread_time() - self._cpu > _SURE * self._interval:
            return False  # it was at work
        return observed + 2 * self._interval < lag

    def _call_thread(self) -> None:
        with self._condition:
            self._is_stopping = False
            if self._thread is None:
                self._start_thread()
            else:
                self._condition.notify()

    def _start_thread(self) -> None:
        """Start the thread; where the system refuses it, nobody looks until the next beat tries again."""
        try:
            thread = threading.Thread(target=self._watch, name="pynenc-watchdog", daemon=True)
            self._thread = thread  # first: it may end at once, and says so
            thread.start()
        except Exception as error:  # noqa: BLE001  it is for the looks of it only: no work must suffer
            self._thread = None
            if not self._was_refused:
                self._was_refused = True
                log.warning("the watchdog of the event loop has no thread, and sees nothing: %s", why(error))

    # -- in the thread -------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        looked = time.monotonic()
        while self._wait():
            now = time.monotonic()
            try:
                self._look(now, now - looked)
            except Exception:  # noqa: BLE001  it must not end silently
                log.exception("the watchdog failed to say why the event loop is blocked")
            looked = now
        self._say_what_has_ended()

    def _wait(self) -> bool:
        """Wait until it is time to look; say whether there is anything left to look at."""
        with self._condition:
            if not self._is_stopping and not (self.is_resting and self._ended):
                lingers = self.is_resting
                notified = self._condition.wait(LINGER_SECONDS if lingers else self._until_next_look())
                self._is_stopping |= lingers and not notified and self.is_resting
            if self._is_stopping or self._loop is None or self._loop.is_closed():
                self._thread = None
                return False
            return True

    def _until_next_look(self) -> float:
        until_late = self._due + self._seconds - time.monotonic()
        return min(self._interval, until_late) if until_late > 0 else self._interval

    def _look(self, now: float, waited: float) -> None:
        beats = self._beats
        if beats == self._seen_beats:
            self._observed += min(waited, self._interval)
        else:
            self._seen_beats, self._observed = beats, 0.0
        self._say_what_has_ended()
        loop = self._loop
        if self.is_resting or loop is None or self._reported == beats:
            return
        if not loop.is_running():
            self._excused = beats
        elif now - self._due >= self._seconds and self._observed > _SURE * self._interval:
            self._report(beats, now - self._due, loop)

    def _report(self, beats: int, blocked: float, loop: AbstractEventLoop) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return
        sighting = look(frame, loop)
        del frame
        if self._beats != beats:
            return  # it has gone on in the meantime
        self._reported, self._culprit = beats, None
        if sighting.in_debugger:
            self._excused = beats
        elif not _is_reported_elsewhere(sighting, self):
            self._culprit, self._ids = _name(sighting)
            self._say(f"has blocked the event loop for at least {blocked:.2f} s", blocked, sighting.stack)

    def _say_what_has_ended(self) -> None:
        while self._ended:
            beats, blocked = self._ended.popleft()
            if beats != self._reported:
                self._culprit, self._ids = "something that was over before it could be found", _NOBODY
            if self._culprit is not None:
                self._say(f"has blocked the event loop for {blocked:.2f} s; it goes on", blocked, "")

    def _say(self, what: str, blocked: float, stack: str) -> None:
        log.warning(
            "%s %s%s%s",
            self._culprit,
            what,
            Lines("\n" if stack else ""),
            Lines(stack),
            extra={**self._ids, "blocked_seconds": blocked, "stack": stack},
        )


def _name(sighting: Sighting) -> tuple[str, dict[str, str]]:
    """Return who is to blame, in words and as fields of a log record."""
    record = sighting.record
    if record is None:
        return "code outside of all bodies", _NOBODY
    invocation_id, task_id = record._task.runtime.format_id(record._number), record._task.task_id
    spawned = "a Task started by " if sighting.spawned else ""
    words = f"{spawned}invocation {invocation_id} of task {task_id}"
    return words, {"invocation_id": invocation_id, "task_id": task_id}


def _is_reported_elsewhere(sighting: Sighting, watchdog: Watchdog) -> bool:
    """Whether it is a body of another app with a watchdog of its own."""
    if sighting.record is None:
        return False
    other: Any = getattr(sighting.record._task.runtime, "watchdog", None)
    return other is not watchdog and other is not None and bool(other.is_on)
