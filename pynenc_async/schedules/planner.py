"""What a schedule does now: pure decisions.

Time is a number that is handed in, the past of a schedule is one number as well (`decided`: every moment up to there has
been decided), so all of this can be tested without a loop, and be done by a process that takes over from another.
"""

import math
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from random import Random
from typing import Final

from pynenc_async.schedules.specs import Misfire, Overlap, ScheduleSpec
from pynenc_async.store.values import Fire

MOST_MADE_UP: Final = 100
"""How many missed moments are looked at: those before them are dropped, whatever `Misfire` says."""
CORRECTION_SECONDS: Final = 3 * 3600.0
"""A clock that is set back further than that was wrong before. The threshold of Debian's cron."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is due, and what comes next."""

    fires: tuple[Fire, ...]
    missed: int
    """How many of the moments that were looked at have no fire."""
    dropped: bool
    """Whether there were more of them than are looked at."""
    decided: float
    next_moment: float | None
    """None: there is none, ever."""
    wake_at: float | None
    """When it is due: the next moment, and its jitter."""

    def holds(self, now: float) -> bool:
        """Whether it is still what `plan` would say, apart from the fires: nothing is due, and the clock was not wrong."""
        return self.decided - CORRECTION_SECONDS <= now and (self.wake_at is None or now < self.wake_at)

    def without_past(self, now: float) -> "Plan":
        """Return it with all that has passed until `now` as decided; what comes next is open."""
        return replace(self, decided=max(self.decided, now), wake_at=-math.inf)


def plan(spec: ScheduleSpec, decided: float, now: float, *, salt: float = 0.0) -> Plan:
    """Decide every moment after `decided` that is due `now`. Both are wall time; `salt` is what jitter is drawn from."""
    if now < decided - CORRECTION_SECONDS:
        decided = now
    due, dropped = _due(spec, decided, now, salt)
    fires = tuple(Fire(spec.name, moment) for moment in _made_up_for(spec, due, now, salt))
    if due:
        decided = due[-1]
    following = next(spec.moments(decided), None)
    return Plan(
        fires=fires,
        missed=len(due) - len(fires),
        dropped=dropped,
        decided=decided,
        next_moment=following,
        wake_at=None if following is None else _wake_at(spec, following, salt),
    )


def _made_up_for(spec: ScheduleSpec, due: list[float], now: float, salt: float) -> list[float]:
    misfire = spec.options.misfire
    if misfire is Misfire.ALL or not due:
        return due
    last = due[-1]
    if misfire is Misfire.SKIP and now - _wake_at(spec, last, salt) > spec.options.misfire_grace:
        return []
    return [last]


def _due(spec: ScheduleSpec, decided: float, now: float, salt: float) -> tuple[list[float], bool]:
    """Return the last moments that are due, and whether there were more."""
    passed, dropped = _last_moments(spec, decided, now)
    if passed and _wake_at(spec, passed[-1], salt) > now:
        passed.pop()  # the only one that can be put off till later: jitter ends before the next moment
    return passed, dropped


def _last_moments(spec: ScheduleSpec, after: float, until: float) -> tuple[list[float], bool]:
    """Return the last moments in a span of any length, and whether there were more, without passing over all of them."""
    found = _first_moments(spec, after, until)
    if len(found) <= MOST_MADE_UP:
        return found, False
    too_early, late_enough = after, until
    while len(found) != MOST_MADE_UP:  # moments lie far enough apart for a float between them
        middle = (too_early + late_enough) / 2
        found = _first_moments(spec, middle, until)
        if len(found) > MOST_MADE_UP:
            too_early = middle
        else:
            late_enough = middle
    return found, True


def _first_moments(spec: ScheduleSpec, after: float, until: float) -> list[float]:
    """Return the first moments of a span: one more than are looked at says that there are too many."""
    return list(islice(takewhile(lambda moment: moment <= until, spec.moments(after)), MOST_MADE_UP + 1))


def _wake_at(spec: ScheduleSpec, moment: float, salt: float) -> float:
    """Return when a moment is due: with the same salt, always the same."""
    jitter = spec.options.jitter
    if not jitter:
        return moment
    following = next(spec.moments(moment), None)
    room = jitter if following is None else min(jitter, following - moment)
    return moment + room * Random(f"{salt} {spec.name} {moment}").random()  # noqa: S311  no secret


@dataclass(frozen=True, slots=True)
class Admission:
    """What becomes of fires that are due."""

    start: tuple[Fire, ...]
    """Run now."""
    line: tuple[Fire, ...]
    """Run one by one, each when the run before it has ended."""
    passed: int
    """How many come to nothing, because a run lives."""


def admit(overlap: Overlap, due: tuple[Fire, ...], *, busy: bool, line: tuple[Fire, ...]) -> Admission:
    """Decide which fires run. `busy`: whether a run of the schedule lives; `line`: what waits for its end already."""
    if overlap is Overlap.ALLOW:
        return Admission((*line, *due), (), 0)
    if not busy and not line:
        return Admission(due[:1], due[1:], 0)
    room = 1 if overlap is Overlap.QUEUE and not line else 0
    return Admission((), (*line, *due[:room]), len(due) - room if due else 0)
