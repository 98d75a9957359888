"""Who is told of every transition, and how: in the loop, in order, after the decision that made it is complete.

Only invocations that were submitted while somebody observes are told of; the others take the way that costs nothing.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final, Self

import msgspec

from pynenc_async.interrupts import raise_soon
from pynenc_async.record import Record
from pynenc_async.scheduler.backlog import Backlog
from pynenc_async.status import InvocationStatus
from pynenc_async.telemetry import log


class TransitionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An invocation has gone from one status to another."""

    invocation_id: str
    task_id: str
    previous: InvocationStatus | None
    """None: it is new."""
    status: InvocationStatus
    timestamp: float
    """Seconds since the epoch."""
    attempt: int
    reason: str
    runner_id: str


Observer = Callable[[TransitionEvent], object]


class Observation:
    """What `app.observe` returns; also a context manager that ends it."""

    def __init__(self, callback: Observer, close: Callable[["Observation"], None]) -> None:
        self.callback: Final = callback
        self._close: Final = close

    def close(self) -> None:
        """Tell the callback nothing more."""
        self._close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Observers:
    """The observers of one app, and the events that they have not been told yet."""

    def __init__(self, describe: Callable[[Record], tuple[str, str]], changed: Callable[[], None]) -> None:
        self._describe: Final = describe
        self._changed: Final = changed
        self.observations: Final[dict[Observation, None]] = {}
        """Empty while nobody observes."""
        self._events: Final[Backlog[TransitionEvent]] = Backlog(self._tell_of)

    def __bool__(self) -> bool:
        return bool(self.observations)

    def add(self, callback: Observer) -> Observation:
        """Tell `callback` of every transition of the invocations that are submitted from now on."""
        observation = Observation(callback, self._remove)
        self.observations[observation] = None
        self._changed()
        return observation

    def bind(self, loop: AbstractEventLoop) -> None:
        """Tell in `loop` from now on, beginning with what could not be told in the one before."""
        self._events.bind(loop)

    def note_fork(self) -> None:
        """In a child: what has happened is told in the parent."""
        self._events.clear()

    def announce(
        self,
        record: Record,
        previous: InvocationStatus | None,
        status: InvocationStatus,
        timestamp: float,
        attempt: int,
        reason: str,
    ) -> None:
        """Note a transition, to be told soon; callable in any thread."""
        invocation_id, runner_id = self._describe(record)
        self._events.put(
            TransitionEvent(
                invocation_id=invocation_id,
                task_id=record._task.task_id,
                previous=previous,
                status=status,
                timestamp=timestamp,
                attempt=attempt,
                reason=reason,
                runner_id=runner_id,
            )
        )

    def tell(self) -> None:
        """Tell everything that has not been told. An observer that raises is logged, and told nothing more."""
        self._events.work_off()

    def _tell_of(self, event: TransitionEvent) -> None:
        for observation in list(self.observations):
            try:
                observation.callback(event)
            except KeyboardInterrupt as interrupt:
                raise_soon(interrupt)  # which comes from outside, and is no fault of the observer
            except BaseException:  # noqa: BLE001  user code; also a CancelledError, which is meant for nobody here
                self._remove(observation)
                log.exception("the observer %r raised, and is told nothing more", observation.callback)

    def _remove(self, observation: Observation) -> None:
        if observation in self.observations:
            del self.observations[observation]
            self._changed()
