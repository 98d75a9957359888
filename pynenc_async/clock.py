"""Where the time of day and the order of equals come from.

The runtime never reads `time.time` inline: it asks once, at start, for the clock of the loop it runs on. A simulated
loop answers with its own clock, its own source of ties, and wants to hear of every thread that works for it; any other
loop gives the clock of the machine, and ties stay first come, first served.
"""

import random
import time
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable


class ThreadTurn(Protocol):
    """When a piece of work in a thread may go on, where the loop decides it."""

    def wait(self) -> None:
        """Wait for the turn, in the thread."""
        ...

    def pause(self) -> None:
        """Pass the turn on, before the thread waits for the loop."""
        ...

    def resume(self) -> None:
        """Ask for another turn, in the loop, before the thread that paused is woken."""
        ...

    def end(self) -> None:
        """Pass the turn on for good, after the result was handed to the loop."""
        ...


@runtime_checkable
class SimulatedLoop(Protocol):
    """What an event loop with its own time offers to the runtime, besides being an event loop.

    `tie_break` decides between what the runtime holds to be equal; None asks for the order of arrival.

    Simulated time stands still while a thread works, hence the two counters. They may be called from any thread.
    Each piece of work calls `thread_work_began` before it can be waited for, and `thread_work_ended` once, after its
    result was handed to the loop with `call_soon_threadsafe`: the other way round, time may jump between the two.
    Work that itself waits for the loop is not working, and must not be counted while it waits: time would never move.
    """

    tie_break: random.Random | None

    def time(self) -> float:
        """Seconds since some moment, as for any event loop."""
        ...

    def wall_time(self) -> float:
        """Seconds since the epoch, as far as this loop is concerned."""
        ...

    def thread_work_began(self) -> None:
        """Hold time still, until the matching `thread_work_ended`."""
        ...

    def thread_work_ended(self) -> None:
        """Let time move again, if this was the last piece of work."""
        ...

    def new_thread_turn(self) -> ThreadTurn | None:
        """Return the turn that a piece of work in a thread has to wait for; None where threads run freely."""
        ...

    def settle_threads(self) -> None:
        """Let the threads at work end, if they do so in a moment; whoever looks at what has ended then sees no race."""
        ...

    def call_at_close(self, callback: Callable[[], object]) -> None:
        """Call back when this loop is closed: of simulated loops there are thousands, each with threads of its own."""
        ...


def wall_clock_of(loop: object) -> Callable[[], float]:
    """Return the function that tells the time of day on this loop."""
    return loop.wall_time if isinstance(loop, SimulatedLoop) else time.time


def monotonic_clock_of(loop: object) -> Callable[[], float]:
    """Return a clock that only moves forward: the loop's own if it is simulated, for it can be read after it is closed."""
    return loop.time if isinstance(loop, SimulatedLoop) else time.monotonic


class SteadyClock:
    """The time of day as it was when the clock was set, and what has passed since: nobody sets it but its owner.

    What waits by it waits as long as was asked for, however the clock on the wall is set meanwhile.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed: Final = elapsed
        self._offset = 0.0

    def set(self, now: float) -> None:
        """Let it be `now`."""
        self._offset = now - self._elapsed()

    def __call__(self) -> float:
        """Return what time it is, in seconds since the epoch."""
        return self._elapsed() + self._offset


def tie_break_of(loop: object) -> random.Random | None:
    """Return what decides between equals on this loop; None means the order of arrival."""
    return loop.tie_break if isinstance(loop, SimulatedLoop) else None


_SYSTEM: Final = random.SystemRandom()
"""It has no state: neither a fork nor a program that seeds `random` makes two processes draw the same."""


def randomness_of(loop: object) -> random.Random:
    """Return where random numbers come from: in simulations from the seed, else from the operating system."""
    return tie_break_of(loop) or _SYSTEM


def thread_work_of(loop: object) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what to call when a piece of work in a thread begins, and when it has ended; see `SimulatedLoop`."""
    if isinstance(loop, SimulatedLoop):
        return loop.thread_work_began, loop.thread_work_ended
    return _nobody_counts, _nobody_counts


def _nobody_counts() -> None:
    """Real time passes while threads work, whoever counts them."""
