"""How an app stops: admit nothing from outside, wait for what is under way, cancel the rest, close, let go of the loop."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

from pynenc_async.errors import InvocationError
from pynenc_async.execution.app_resources import CLOSE_SECONDS, AppResources
from pynenc_async.invocation.binding import Phase
from pynenc_async.invocation.dispatch import Dispatcher
from pynenc_async.invocation.waiting import current_body, is_own_task, runs_loop
from pynenc_async.record import Record
from pynenc_async.scheduler.cycles import describe
from pynenc_async.scheduler.statuses import WAITS
from pynenc_async.telemetry import log

CANCEL_GRACE_SECONDS: Final = 5.0
"""How long a cancelled body may take to end before the shutdown goes on without it."""
_LAST_TURNS: Final = 20
"""How many turns of the loop a cancelled body has where a second signal leaves it no time."""
_MOST_NAMED: Final = 10
"""How many of those that ignore their cancellation the log names one by one."""


class Shutdown:
    """The end of an app on a loop; its whole time is bounded by the drain, the grace and the closing of resources."""

    def __init__(self, dispatcher: Dispatcher, resources: AppResources, halt: Callable[[], None]) -> None:
        self._dispatcher: Final = dispatcher
        self._resources: Final = resources
        self._halt: Final = halt
        """Keeps schedules from firing."""
        self._waiting: set[asyncio.Task[None]] = set()
        self._hurried = False
        self._interrupted = False
        """Whether a signal has asked for the end: then nothing begins that has not begun."""
        self._never_begun = 0

    async def drain(self, seconds: float | None) -> bool:
        """Admit calls of running bodies alone, wait for all that lives, and say whether it has ended in `seconds`.

        Raises, and changes nothing: `InvocationError` when a body of the app awaits it, which would wait for itself;
        `AppNotStartedError` in another loop than that of the app, unless that is closed.
        """
        dispatcher = self._dispatcher
        dispatcher.refuse_stop_elsewhere()
        body = current_body()
        if body is not None and body._task.runtime is dispatcher and await _is_waited_for_by(body):
            raise InvocationError(
                dispatcher.format_id(body._number),
                f"invocation {describe(body)} shuts down the app that would wait for it; "
                "do so outside of bodies, or in an asyncio Task that the body does not await",
            )
        self._halt()
        if dispatcher.phase is Phase.OPEN:
            dispatcher.phase = Phase.DRAINING
        if dispatcher.loop is not asyncio.get_running_loop():
            return True
        await self._wait_for_all(seconds)
        return not self._living()

    async def stop(self, drain_seconds: float) -> None:
        """Drain for so long, cancel the rest, abandon what ignores it, and admit nothing more."""
        dispatcher = self._dispatcher
        dispatcher.announce_stop()
        if self._interrupted:
            self._end_unbegun()
            self._say_what_is_awaited(drain_seconds)
        else:
            self._end_what_begins_too_late(drain_seconds)
        if not await self.drain(drain_seconds):
            dispatcher.watches.refuse()
            try:
                await self._cancel_all()
            finally:
                dispatcher.watches.accept()
        dispatcher.phase = Phase.CLOSED
        await self._resources.close(0.0 if self._hurried else CLOSE_SECONDS)
        if dispatcher.loop is asyncio.get_running_loop():
            dispatcher.crew.threads.close()
            await dispatcher.crew.elsewhere.stop(at_once=self._hurried)
            await asyncio.sleep(0)  # carriers that found no work end in this turn
            dispatcher.watchdog.stop()
            dispatcher.scheduler.unseen.sound_all()
            await dispatcher.stop()
            dispatcher.observers.tell()
        else:
            await dispatcher.leave_closed_loop()

    def interrupt(self) -> None:
        """End at once what has not begun, or leave it to the store: a signal asks for the end."""
        self._interrupted = True
        self._dispatcher.begin_nothing_more()
        self._end_unbegun()

    def _end_unbegun(self) -> None:
        """But for what bodies under way have submitted, which they may need for their own end."""
        for invocation in self._living():
            parent = invocation._parent
            needed = isinstance(parent, Record) and parent._driver is not None
            if invocation._driver is None and invocation._status in WAITS and not needed:
                self._dispatcher.end_for_shutdown(invocation)
                self._never_begun += 1

    def _end_what_begins_too_late(self, drain_seconds: float) -> None:
        """Do not wait for what is delayed for longer than that."""
        late = {record._number for record in self._dispatcher.scheduler.due_after(drain_seconds)}
        for invocation in self._living() if late else ():
            if invocation._number in late:
                self._dispatcher.end_for_shutdown(invocation)

    def _say_what_is_awaited(self, drain_seconds: float) -> None:
        living = len(self._living())
        log.warning(
            "%d invocations that had not begun %s; up to %g s are given to %d under way",
            self._never_begun,
            "stay in the store" if self._dispatcher.is_durable else "were cancelled",
            drain_seconds,
            living,
        )
        self._never_begun = 0

    def hurry(self) -> None:
        """Wait for nothing any more: cancel what lives, and abandon it."""
        self._hurried = True
        for waiting in self._waiting:
            waiting.cancel()

    def begin(self) -> None:
        """The app starts anew."""
        self._hurried = self._interrupted = False
        self._resources.begin()

    def _living(self) -> list[Any]:
        """Every invocation that has not ended, with what is fired by those that have."""
        self._dispatcher.watches.backlog.work_off()
        return self._dispatcher.living()

    async def _wait_for_all(self, seconds: float | None) -> None:
        """Wait for all that lives, at most so long; in a hurry, for nothing."""
        waiting = asyncio.create_task(self._until_none_lives(), context=Context())  # it waits for nobody's sake
        self._waiting.add(waiting)
        try:
            if self._hurried:
                waiting.cancel()
            await asyncio.wait([waiting], timeout=seconds)
        finally:
            self._waiting.discard(waiting)
            waiting.cancel()

    async def _until_none_lives(self) -> None:
        while living := self._living():
            for invocation in living:
                await invocation.until_ended()

    async def _cancel_all(self) -> None:
        dispatcher = self._dispatcher
        for invocation in dispatcher.living():
            dispatcher.end_for_shutdown(invocation)
        await self._wait_for_all(CANCEL_GRACE_SECONDS)
        for _ in range(_LAST_TURNS if self._hurried else 0):
            await asyncio.sleep(0)  # who hears of its cancellation ends by itself
        stubborn = dispatcher.stubborn()
        for invocation in stubborn:
            dispatcher.scheduler.abandon(invocation, "it ignored its cancellation, and the app was shut down")
            dispatcher.crew.threads.give_up()
        for invocation in stubborn[:_MOST_NAMED]:
            _report_stubborn(invocation)
        if len(stubborn) > _MOST_NAMED:
            log.error("%d more ignored their cancellation and are abandoned", len(stubborn) - _MOST_NAMED)


def _report_stubborn(invocation: Any) -> None:
    log.error(
        "invocation %s of task %s ignored its cancellation and is abandoned",
        invocation.invocation_id,
        invocation.task.task_id,
        extra={"invocation_id": invocation.invocation_id, "task_id": invocation.task.task_id},
    )


async def _is_waited_for_by(body: Record) -> bool:
    """Whether the body cannot end before what is asked here does: its own Task asks, or a loop that it runs itself."""
    if runs_loop(body):
        await asyncio.sleep(0)  # or this is the first step of an eager Task
    return is_own_task(body) or runs_loop(body)
