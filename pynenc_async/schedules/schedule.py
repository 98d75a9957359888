"""The handle of a schedule."""

from collections.abc import Callable
from datetime import datetime
from enum import Enum, auto
from itertools import islice
from typing import Any, Final, Protocol, final

from pynenc_async.arguments import Arguments
from pynenc_async.errors import PynencError
from pynenc_async.function import Values
from pynenc_async.record import Record
from pynenc_async.scheduler.agenda import Call
from pynenc_async.schedules.planner import Plan
from pynenc_async.schedules.specs import ScheduleSpec
from pynenc_async.store.values import Fire
from pynenc_async.task import Task


class State(Enum):
    """Whether a schedule fires."""

    ACTIVE = auto()
    PAUSED = auto()
    REMOVED = auto()


class Keeper(Protocol):
    """What drives schedules; `clockwork.Clockwork` is it."""

    def now(self) -> float:
        """The time of day."""
        ...

    def pause(self, schedule: "Schedule") -> None:
        """Fire it no more until it is resumed."""
        ...

    def resume(self, schedule: "Schedule") -> None:
        """Fire it again."""
        ...

    def remove(self, schedule: "Schedule") -> None:
        """Forget it."""
        ...

    def run_ended(self, schedule: "Schedule") -> None:
        """Begin what waited for that; called inside a decision."""
        ...


class Runs:
    """The invocations of one schedule that have not ended; it is their waiter."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended: Final = ended
        self._living: Final[dict[int, Record]] = {}
        """By their `id`."""

    @property
    def busy(self) -> bool:
        """Whether there are any. Those that a closed loop has left behind tell nobody of their end."""
        for number in [number for number, record in self._living.items() if record._ended_at is not None]:
            del self._living[number]
        return bool(self._living)

    def watch(self, record: Record) -> None:
        """Wait for the end of an invocation, which may lie behind."""
        if record._ended_at is None:
            self._living[id(record)] = record
            record.add_waiter(self)

    def watch_again(self) -> None:
        """The app has started again, maybe in another loop, which has forgotten who waits."""
        if self.busy:
            for record in self._living.values():
                record.remove_waiter(self)
                record.add_waiter(self)

    def forget(self) -> None:
        """Wait for none of them."""
        self._living.clear()

    def notify(self, record: Record) -> None:
        """A run has ended. Its handle is let go: if it failed, and nobody has looked at that, this is when the log says so."""
        self._living.pop(id(record), None)
        self._ended()


@final
class Schedule:
    """When a task runs by itself: made by `app.cron(...)` and `app.every(...)`, found in `app.schedules`.

    All methods may be called in any thread. Moments are in the time zone of the schedule.
    """

    def __init__(self, keeper: Keeper, spec: ScheduleSpec, task: Callable[[], Task[Any, Any]], values: Values) -> None:
        self._keeper: Final = keeper
        self._spec: Final = spec
        self._task: Final = task
        self._values: Final = values
        self._state = State.ACTIVE
        self._runs: Final = Runs(lambda: keeper.run_ended(self))
        self._plan: Plan | None = None
        """What was decided last; None: it has never been started."""
        self._line: tuple[Fire, ...] = ()
        """What waits for the end of a run."""
        self._call: Call | None = None
        self._last: Fire | None = None
        self._last_invocation_id: str | None = None
        self.fired = 0
        """How many times it has called its task, in this process; where several share a store, one of them runs each."""
        self.missed = 0
        """How many moments were missed and not made up for; of a long row of them, the last 100 are counted."""
        self.passed = 0
        """How many moments came to nothing because a run lived, or because the call was refused."""

    @property
    def name(self) -> str:
        """Unique in the app."""
        return self._spec.name

    @property
    def spec(self) -> ScheduleSpec:
        """When it fires, and all its options."""
        return self._spec

    @property
    def task(self) -> Task[Any, Any]:
        """What it runs."""
        return self._task()

    @property
    def arguments(self) -> Arguments:
        """With which arguments."""
        return Arguments(self._task().function, self._values)

    @property
    def next_fire(self) -> datetime | None:
        """The next moment, without jitter; None while it does not fire: paused, removed, past its end, the app not started."""
        if self._call is None or self._plan is None or self._plan.next_moment is None:
            return None
        return self._shown(self._plan.next_moment)

    @property
    def last_fire(self) -> datetime | None:
        """The moment of its last run in this process."""
        return None if self._last is None else self._shown(self._last.moment)

    @property
    def last_invocation_id(self) -> str | None:
        """Its last run in this process, for `app.get_invocation`."""
        return self._last_invocation_id

    @property
    def is_paused(self) -> bool:
        """Whether it has been paused."""
        return self._state is State.PAUSED

    def upcoming(self, count: int, *, after: datetime | None = None) -> list[datetime]:
        """Return its next moments (from now on, unless given), whether or not it will fire: to look at, and for tests."""
        begin = self._keeper.now() if after is None else after.timestamp()
        return [self._shown(moment) for moment in islice(self._spec.moments(begin), count)]

    def pause(self) -> None:
        """Fire no more until it is resumed. What runs goes on; what waits in line is dropped."""
        self._require_present()
        self._keeper.pause(self)

    def resume(self) -> None:
        """Fire again. What passed during the pause is not missed: it was not wanted."""
        self._require_present()
        self._keeper.resume(self)

    def remove(self) -> None:
        """Fire never again, and leave `app.schedules`. What runs goes on."""
        self._require_present()
        self._keeper.remove(self)

    def _shown(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment, self._spec.timetable.zone)

    def _require_present(self) -> None:
        if self._state is State.REMOVED:
            raise PynencError(f"schedule {self.name!r} was removed from its app; declare it again")

    def __repr__(self) -> str:
        shown = self._state.name.lower() if self.next_fire is None else f"next at {self.next_fire.isoformat()}"
        return f"<Schedule {self.name!r}, {shown}>"
