"""What makes schedules fire: plans become timers on the agenda and calls of tasks.

Each schedule has one entry on the agenda, for its next moment. Timers run on a clock that stands still while a machine
sleeps, and that does not hear when the time of day is set. So none is set further ahead than `LONGEST_TIMER`; and what is
due is decided by the time of day alone, each time anew (`planner.plan`), however early or late the timer rings.
"""

from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from functools import cached_property
from typing import Any, Final

from pynenc_async.clock import SimulatedLoop
from pynenc_async.context import CURRENT
from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.forks import tell_of_forks
from pynenc_async.function import Values
from pynenc_async.invocation.dispatch import Dispatcher
from pynenc_async.schedules.planner import Plan, admit, plan
from pynenc_async.schedules.schedule import Schedule, State
from pynenc_async.schedules.specs import Overlap, ScheduleSpec
from pynenc_async.store.values import Fire
from pynenc_async.task import Task
from pynenc_async.telemetry import log
from pynenc_async.user_errors import brief

LONGEST_TIMER: Final = 600.0
"""Seconds until the time of day is looked at again: how late a fire may be after the machine has slept."""


class Clockwork:
    """The schedules of one app, and their timers while it runs."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher: Final = dispatcher
        self._agenda: Final = dispatcher.scheduler.agenda
        self.schedules: Final[dict[str, Schedule]] = {}
        self._running = False
        self._context = Context()
        """In which the tasks are called: that of who started the app, outside of any body."""
        self._last_fires: Mapping[str, float] = {}
        self._world: object = None
        """The simulated loop in which the schedules were started, if it is one."""
        tell_of_forks(self)

    def note_fork(self) -> None:
        """In a child: nothing was decided here, and its own random numbers say what is put off for how long."""
        self._running = False
        self.__dict__.pop("_salt", None)
        for schedule in self.schedules.values():
            self._disarm(schedule)
            schedule._plan, schedule._line = None, ()
            schedule._runs.forget()

    @cached_property
    def _salt(self) -> float:
        return self._dispatcher.scheduler.random.random()

    def now(self) -> float:
        """The time of day on the loop to which the app is bound."""
        return self._dispatcher.scheduler.clock()

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self, last_fires: Mapping[str, float]) -> None:
        """Let schedules fire. What they missed while they did not is decided now.

        `last_fires`: when they have fired last, for those of an app that has not run in this process before.
        """
        self._last_fires = last_fires
        self._context = copy_context()
        self._context.run(CURRENT.set, None)
        loop: object = self._dispatcher.loop
        if isinstance(loop, SimulatedLoop) and loop is not self._world:
            for schedule in self.schedules.values():
                schedule._plan, schedule._line = None, ()  # another world has another time
            self._world = loop
        self._running = True
        for schedule in list(self.schedules.values()):
            schedule._runs.watch_again()
            self._begin(schedule)

    def stop(self) -> None:
        """Let none fire. What waits in line waits for the next start."""
        self._running = False
        for schedule in self.schedules.values():
            self._disarm(schedule)

    def _in_loop(self, act: Callable[[], None]) -> None:
        loop = self._dispatcher.loop
        if self._running and loop is not None and not loop.is_closed():
            self._dispatcher.decide(act)
        else:
            act()

    # -- schedules -----------------------------------------------------------------------------------------------------

    def add(self, spec: ScheduleSpec, task: Callable[[], Task[Any, Any]], values: Values) -> None:
        """Take in a schedule. One of a function that has been defined anew takes the place of those of the old one.

        Raises `InvalidTaskOptionsError` when its name is taken.
        """
        for known in list(self.schedules.values()):
            if known.task.task_id == task().task_id and known.task.func is not task().func:
                self.remove(known)
        if spec.name in self.schedules:
            problem = f"must be unique in the app, and {spec.name!r} is taken; give one of the two another name"
            raise InvalidTaskOptionsError(f"schedule of {task().task_id}", "name", problem)
        schedule = Schedule(self, spec, task, values)
        self.schedules[spec.name] = schedule
        self._in_loop(lambda: self._begin(schedule))

    def pause(self, schedule: Schedule) -> None:
        """Fire it no more until it is resumed."""
        self._in_loop(lambda: self._halt(schedule, State.PAUSED))

    def resume(self, schedule: Schedule) -> None:
        """Fire it again, from now on."""
        self._in_loop(lambda: self._resume(schedule))

    def remove(self, schedule: Schedule) -> None:
        """Forget it."""
        self.schedules.pop(schedule.name, None)
        self._in_loop(lambda: self._halt(schedule, State.REMOVED))

    def _halt(self, schedule: Schedule, state: State) -> None:
        if schedule._state is not State.REMOVED:
            schedule._state = state
        schedule._line = ()
        self._disarm(schedule)

    def _resume(self, schedule: Schedule) -> None:
        if schedule._state is State.PAUSED:
            schedule._state = State.ACTIVE
            if schedule._plan is not None:
                schedule._plan = schedule._plan.without_past(self.now())
            self._begin(schedule)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _begin(self, schedule: Schedule) -> None:
        if self._running and schedule._state is State.ACTIVE:
            self._turn(schedule)

    def _turn(self, schedule: Schedule) -> None:
        """Decide what is due, set the timer for what is not, and call the task."""
        self._disarm(schedule)
        now, known = self.now(), schedule._plan
        if known is not None and known.holds(now):
            self._arm(schedule, known, now)
            self._go_on(schedule)
            return
        spec = schedule.spec
        try:
            decided = self._last_fire(spec, now) if known is None else known.decided
            planned = plan(spec, decided, now, salt=self._salt if spec.options.jitter else 0.0)
        except BaseException:  # noqa: BLE001  the agenda must not lose what else is due
            schedule._state = State.PAUSED
            log.exception("schedule %r is paused: its next moment cannot be told", schedule.name)
            return
        schedule._plan = planned
        self._arm(schedule, planned, now)
        self._carry_out(schedule, planned)

    def _last_fire(self, spec: ScheduleSpec, now: float) -> float:
        """Return when a schedule has fired last, in whichever process; `now` where it never has."""
        fires = (self._last_fires.get(name) for name in (spec.name, *spec.earlier_names))
        return max((fire for fire in fires if fire is not None), default=now)

    def _arm(self, schedule: Schedule, planned: Plan, now: float) -> None:
        if planned.wake_at is not None:
            delay = min(planned.wake_at - now, LONGEST_TIMER)
            schedule._call = self._agenda.call_later(delay, lambda: self._turn(schedule))

    def _disarm(self, schedule: Schedule) -> None:
        call, schedule._call = schedule._call, None
        if call is not None and call.callback is not None:
            call.cancel()
            self._agenda.note_dead()

    # -- fires ---------------------------------------------------------------------------------------------------------

    def _carry_out(self, schedule: Schedule, planned: Plan) -> None:
        if planned.missed:
            schedule.missed += planned.missed
            count = f"more than {planned.missed}" if planned.dropped else str(planned.missed)
            log.warning("schedule %r has missed %s of its moments", schedule.name, count)
        overlap = schedule.spec.options.overlap
        admission = admit(overlap, planned.fires, busy=schedule._runs.busy, line=schedule._line)
        schedule._line = admission.line
        schedule.passed += admission.passed
        for fire in admission.start:
            self._fire(schedule, fire)
        self._go_on(schedule)

    def run_ended(self, schedule: Schedule) -> None:
        """Begin what waited for that, once the decision is made in which it ended."""
        if schedule._line and self._running:
            self._agenda.call_later(0.0, lambda: self._go_on(schedule))

    def _go_on(self, schedule: Schedule) -> None:
        while schedule._line and self._running and not schedule._runs.busy:
            fire, *rest = schedule._line
            schedule._line = tuple(rest)
            self._fire(schedule, fire)

    def _fire(self, schedule: Schedule, fire: Fire) -> None:
        alone = schedule.spec.options.overlap is not Overlap.ALLOW
        task = schedule.task.for_fire(fire, alone=alone)
        try:
            handle = self._context.copy().run(task.submit_values, task, schedule._values)
        except BaseException as error:  # noqa: BLE001  a full queue, a duplicate that is refused, code of the user's values
            schedule.passed += 1
            moment, problem = fire.at.isoformat(), brief(error)
            log.warning("schedule %r could not call its task for %s: %s", schedule.name, moment, problem)
            return
        schedule.fired += 1
        schedule._last, schedule._last_invocation_id = fire, handle.invocation_id
        schedule._runs.watch(getattr(handle, "original", handle))  # of a `ReusedInvocation`
