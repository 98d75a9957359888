"""What a schedule is: frozen values."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import Annotated, Any, Final, Literal, Self

from pynenc_async.arguments import Arguments
from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.option_docs import with_accepted_values
from pynenc_async.option_rules import MOMENT, SECONDS, TEXT, Rule, did_you_mean, one_of, rules_of
from pynenc_async.options import RULES, TaskOptionsDict
from pynenc_async.schedules.timetables import Timetable

LEAST_INTERVAL: Final = 0.01
"""Seconds."""


class Misfire(StrEnum):
    """What becomes of moments that were missed.

    Attributes:
        SKIP: Nothing: the schedule goes on with the next moment.
        ONCE: One run for all of them, for the last of the moments.
        ALL: A run for each of them: at most the last 100.

    """

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(StrEnum):
    """What happens at a moment at which the previous run of the schedule lives.

    Attributes:
        SKIP: Nothing.
        QUEUE: A run begins when the previous one has ended. At most one waits: further moments pass.
        ALLOW: A run begins all the same.

    """

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


def _is_arguments(value: object) -> bool:
    return isinstance(value, (tuple, Arguments))


def _is_keywords(value: object) -> bool:
    names: Any = value
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in names)


_ARGS: Final = Rule(_is_arguments, "a tuple, or task.args(...)")
_KWARGS: Final = Rule(_is_keywords, "a dict of arguments by name", dict)


@with_accepted_values
@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleOptions:
    """What `app.cron(...)` and `app.every(...)` accept beside options of the task. Durations: seconds, or a `timedelta`.

    Args:
        name: Unique in the app, and the same after a restart; None: the task id and the moments, as in `jobs.report
            0 7 * * * UTC`.
        args: The positional arguments of each call, or all of them: `task.args(...)`.
        kwargs: The keyword arguments of each call.
        misfire: What becomes of moments that were missed.
        misfire_grace: Seconds, or a `timedelta`, by which the last of the moments that are due may be late and not
            be missed.
        overlap: What happens while the previous run lives.
        jitter: Seconds, or a `timedelta`, by up to which each fire is put off at random, and never to the next
            moment.
        start: The first moment that may fire; where intervals count from.
        end: The last moment that may fire.

    """

    name: Annotated[str | None, TEXT.or_none()] = None
    args: Annotated[tuple[Any, ...] | Arguments, _ARGS] = ()
    kwargs: Annotated[Mapping[str, Any] | None, _KWARGS.or_none()] = None
    misfire: Annotated[Misfire, one_of(Misfire)] = Misfire.ONCE
    misfire_grace: Annotated[float, SECONDS] = 1.0
    overlap: Annotated[Overlap, one_of(Overlap)] = Overlap.SKIP
    jitter: Annotated[float, SECONDS] = 0.0
    start: Annotated[datetime | None, MOMENT] = None
    end: Annotated[datetime | None, MOMENT] = None

    @classmethod
    def build(cls, owner: str, values: Mapping[str, Any]) -> Self:
        """Check `values`; raise `InvalidTaskOptionsError` that names `owner` and the option."""
        options = cls(**{name: SCHEDULE_RULES[name].check(owner, name, value) for name, value in values.items()})
        if options.start is not None and options.end is not None and options.end < options.start:
            raise InvalidTaskOptionsError(owner, "end", f"comes before start: {options.end}, {options.start}")
        if options.kwargs and isinstance(options.args, Arguments):
            raise InvalidTaskOptionsError(owner, "kwargs", "is given beside task.args(...), which has all arguments")
        if values.get("misfire_grace") and options.misfire is not Misfire.SKIP:
            raise InvalidTaskOptionsError(owner, "misfire_grace", "has no effect without misfire of 'skip'")
        return options


class ScheduleOptionsDict(TaskOptionsDict, total=False):
    """The keywords of `app.cron(...)` and `app.every(...)`: see `ScheduleOptions`, `TaskOptions` and `Naming`."""

    name: str | None
    task_name: str | None
    aliases: str | tuple[str, ...] | list[str] | frozenset[str]
    args: tuple[Any, ...] | Arguments
    kwargs: Mapping[str, Any] | None
    misfire: Misfire | Literal["skip", "once", "all"]
    misfire_grace: float | timedelta
    overlap: Overlap | Literal["skip", "queue", "allow"]
    jitter: float | timedelta
    start: datetime | None
    end: datetime | None


SCHEDULE_RULES: Final[Mapping[str, Rule]] = rules_of(ScheduleOptions)
"""What each option of a schedule accepts."""

_NAMING: Final = {"task_name": "name", "aliases": "aliases"}
"""What the task is called where a schedule makes it, as `@app.task` calls that."""

INTERVAL: Final = Rule(
    lambda value: SECONDS.accepts(value) and SECONDS.normalise(value) >= LEAST_INTERVAL,
    f"a number of seconds of {LEAST_INTERVAL} or more, or a timedelta",
    SECONDS.normalise,
)


def split_options(owner: str, values: Mapping[str, Any]) -> tuple[ScheduleOptions, dict[str, Any]]:
    """Return the options of the schedule, and those of the task, which are not checked yet. Raises for unknown ones.

    `name` is the schedule's; that of the task is `task_name`.
    """
    unknown = [name for name in values if name not in SCHEDULE_RULES and name not in RULES and name not in _NAMING]
    if unknown:
        known = ", ".join(SCHEDULE_RULES)
        meant = did_you_mean(unknown[0], [*SCHEDULE_RULES, *RULES])
        raise InvalidTaskOptionsError(
            owner, unknown[0], f"is unknown; there are {known}, and the options of tasks{meant}"
        )
    own = ScheduleOptions.build(owner, {name: value for name, value in values.items() if name in SCHEDULE_RULES})
    return own, {_NAMING.get(name, name): value for name, value in values.items() if name not in SCHEDULE_RULES}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """All that decides when a schedule fires: nothing of its past."""

    name: str
    timetable: Timetable
    earlier_names: tuple[str, ...] = ()
    """Under which it may have fired before its task was renamed."""
    options: ScheduleOptions = ScheduleOptions()

    def moments(self, after: float) -> Iterator[float]:
        """Yield its moments later than `after`, in order."""
        start, end = self.options.start, self.options.end
        if start is not None:
            after = max(after, math.nextafter(start.timestamp(), -math.inf))
        found = self.timetable.moments(after)
        if end is None:
            return found
        last = end.timestamp()
        return takewhile(lambda moment: moment <= last, found)
