"""Which moment of which schedule a run is for."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pynenc_async.context import CURRENT


@dataclass(frozen=True, slots=True)
class Fire:
    """One moment of one schedule, for which an invocation was made.

    Attributes:
        schedule: The name of the schedule.
        moment: The scheduled moment, not that at which the run began, in the time zone of the schedule; in UTC where this
            process has no such schedule.
    """

    schedule: str
    moment: datetime

    @property
    def at(self) -> datetime:
        """The moment, in UTC."""
        return self.moment.astimezone(UTC)


def current_fire() -> Fire | None:
    """Return for which moment of which schedule the running invocation was made; None if no schedule made it."""
    task: Any = getattr(CURRENT.get(), "_task", None)
    stored = getattr(task, "fire", None)
    if stored is None:
        return None
    schedule = task.app.schedules.get(stored.schedule)
    zone = UTC if schedule is None else schedule.spec.timetable.zone
    return Fire(stored.schedule, datetime.fromtimestamp(stored.moment, zone))
