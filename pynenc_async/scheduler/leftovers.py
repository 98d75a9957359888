"""Bodies in threads that go on after their attempt has timed out: nothing can stop them, and nobody waits for them.

Such a body keeps its thread, for as long as it runs and at most until its `cancel_grace` is over; then another thread takes
the place of its own. What it ends in is dropped, and logged. It has no slot and no permit any more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pynenc_async.record import Record
from pynenc_async.scheduler.agenda import Agenda, Call
from pynenc_async.scheduler.places import Place
from pynenc_async.telemetry import log
from pynenc_async.user_errors import name_of


@dataclass(frozen=True, slots=True, eq=False)
class _Leftover:
    """One of them."""

    invocation_id: str
    task_id: str
    place: Place
    grace: float
    left_at: float
    overdue: Call


class Leftovers:
    """The bodies that were left to themselves, by what drives them."""

    def __init__(self, agenda: Agenda, place_is_free: Callable[[], None]) -> None:
        """Take the timers, and what is called when a place has become free."""
        self._agenda: Final = agenda
        self._place_is_free: Final = place_is_free
        self._bodies: Final[dict[Any, _Leftover]] = {}

    def add(self, record: Record, driver: object, invocation_id: str) -> None:
        """Keep the thread of a body, whose attempt is about to be over."""
        task = record._task
        grace = task.options.cancel_grace
        _hold(task.place, 1)
        self._bodies[driver] = _Leftover(
            invocation_id,
            task.task_id,
            task.place,
            grace,
            self._agenda.now(),
            self._agenda.call_later(grace, partial(self._overdue, driver)),
        )

    def ended(self, driver: object, outcome: object, *, returned: bool) -> None:
        """Drop what a body has ended in, if it is one of these; one that was revoked or abandoned is not."""
        body = self._bodies.pop(driver, None)
        if body is None:
            return
        self._agenda.cancel(body.overdue)
        self._free(body)
        what = "returned" if returned else f"raised {name_of(outcome)}"
        log.warning(
            "invocation %s of task %s had timed out; %.3g s later its body %s, which is dropped",
            body.invocation_id,
            body.task_id,
            self._agenda.now() - body.left_at,
            what,
            extra={"invocation_id": body.invocation_id, "task_id": body.task_id},
        )

    def leave_loop(self) -> None:
        """Abandon them all: the loop is gone."""
        for driver, body in self.forget():
            body.place.abandon(driver)

    def forget(self) -> list[tuple[object, _Leftover]]:
        """Wait for none of them any more, and return them with what drives them."""
        bodies = list(self._bodies.items())
        self._bodies.clear()
        for _, body in bodies:
            self._agenda.cancel(body.overdue)
            _hold(body.place, -1)
        return bodies

    def _overdue(self, driver: object) -> None:
        body = self._bodies.pop(driver)
        body.place.abandon(driver)
        self._free(body)
        log.error(
            "invocation %s of task %s had timed out %g s ago, its body goes on in a thread, and is abandoned",
            body.invocation_id,
            body.task_id,
            body.grace,
            extra={"invocation_id": body.invocation_id, "task_id": body.task_id},
        )

    def _free(self, body: _Leftover) -> None:
        _hold(body.place, -1)
        self._place_is_free()


def _hold(place: Place, change: int) -> None:
    place.left_behind += change
    place.in_use += change
