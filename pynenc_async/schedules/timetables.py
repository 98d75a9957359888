"""The moments at which a schedule fires: arithmetic on seconds since the epoch, without a clock.

A timetable is a fixed, endless set of moments: which ones come after a given time does not depend on anything else.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.option_rules import did_you_mean

_FIELDS: Final = 5
_DAY: Final = 86_400
_ALIASES: Final[Mapping[str, str]] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""As in crontab(5), without `@reboot`, which names no moment."""


class Timetable(Protocol):
    """When a schedule fires."""

    @property
    def label(self) -> str:
        """What it says, as part of the name of a schedule."""
        ...

    @property
    def zone(self) -> tzinfo:
        """The time zone in which its moments are shown."""
        ...

    def moments(self, after: float) -> Iterator[float]:
        """Yield every moment later than `after`, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so many seconds, counted from `anchor`."""

    seconds: float
    anchor: float = 0.0

    @property
    def label(self) -> str:
        """The interval."""
        return f"every {self.seconds:.15g} s"

    @property
    def zone(self) -> tzinfo:
        """Intervals know no zones."""
        return UTC

    def moments(self, after: float) -> Iterator[float]:
        """Yield every moment later than `after`, in order."""
        number = math.floor((after - self.anchor) / self.seconds) - 1  # one early: the quotient is rounded
        while True:
            # A product, no sum: the same float wherever it is counted from.
            moment = self.anchor + number * self.seconds
            if moment > after:
                yield moment
            number += 1


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments of a cron expression in a time zone. Made by `read_cron`, which checks it."""

    expression: str
    zone: tzinfo

    @property
    def label(self) -> str:
        """The expression and the zone."""
        return f"{self.expression} {self.zone}"

    def moments(self, after: float) -> Iterator[float]:
        """Yield every moment later than `after`, in order; none where cronsim has found none in 50 years."""
        minute, hour, *_ = self.expression.split()
        if minute.startswith("*") or hour.startswith("*"):
            return self._shown_moments(math.floor(after))
        return self._fixed_moments(after)

    def _fixed_moments(self, after: float) -> Iterator[float]:
        """Each local time is one moment: cronsim does this, as Debian's cron does it."""
        for local in _search(self.expression, datetime.fromtimestamp(math.floor(after), self.zone)):
            moment = local.timestamp()
            if moment > after:  # in an hour that comes twice, a search may begin with what is past
                yield moment
                after = moment

    def _shown_moments(self, after: int) -> Iterator[float]:
        """Every moment at which the clock on the wall shows a local time that fits.

        While the clock does not change, it is a fixed distance from UTC, and cronsim need not know of the zone: it would go
        wrong where the clock is changed at midnight, or by half an hour.
        """
        offset = self._offset(after + 1)
        while True:
            for local in _search(self.expression, datetime.fromtimestamp(after + offset, UTC)):
                moment = int(local.timestamp()) - offset
                change = self._first_change(offset, after, moment)
                if change is not None:
                    after, offset = change - 1, self._offset(change)
                    break
                yield float(moment)
                after = moment
            else:
                return

    def _first_change(self, offset: int, after: int, until: int) -> int | None:
        """Return the first second later than `after`, and not than `until`, that has another distance from UTC."""
        for begin in range(after, until, _DAY):
            changed = min(begin + _DAY, until)
            if self._offset(changed) != offset:
                while changed - begin > 1:
                    middle = (begin + changed) // 2
                    if self._offset(middle) == offset:
                        begin = middle  # noqa: PLW2901  the loop is left
                    else:
                        changed = middle
                return changed
        return None

    def _offset(self, moment: int) -> int:
        """Return how far the clock on the wall is ahead of UTC, in seconds."""
        return round((datetime.fromtimestamp(moment, self.zone).utcoffset() or timedelta()).total_seconds())


def read_cron(owner: str, expression: object, tz: object) -> Cron:
    """Return the timetable of five fields, or of an alias (`@daily`), which is another way to write them.

    Raises `InvalidTaskOptionsError` that names the option, `ImportError` without cronsim.
    """
    cronsim = _cronsim()
    cron = Cron(_five_fields(owner, expression), _read_zone(owner, tz))
    try:
        first = next(cron.moments(0.0), None)
    except cronsim.CronSimError as error:
        problem = f"is no cron expression: {str(error).lower()} in {expression!r}"
        raise InvalidTaskOptionsError(owner, "expression", problem) from None
    if first is None:
        raise InvalidTaskOptionsError(owner, "expression", f"names no day that ever comes: {expression!r}")
    return cron


def _five_fields(owner: str, expression: object) -> str:
    """Return an expression in its usual form: its five fields, also for an alias."""
    text = " ".join(expression.split()) if isinstance(expression, str) else ""
    if text.startswith("@"):
        fields = _ALIASES.get(text.lower())
        if fields is None:
            problem = f"must be one of {', '.join(_ALIASES)}, or a text of five fields, not {expression!r}"
            raise InvalidTaskOptionsError(owner, "expression", f"{problem}{did_you_mean(text, _ALIASES)}")
        return fields
    if len(text.split()) != _FIELDS:
        problem = f"must be a text of five fields, as in '*/5 * * * *', or an alias as '@daily', not {expression!r}"
        raise InvalidTaskOptionsError(owner, "expression", problem)
    return text


def _read_zone(owner: str, tz: object) -> tzinfo:
    if isinstance(tz, tzinfo):
        return tz
    if tz == "UTC":
        return UTC
    try:
        if isinstance(tz, str):
            return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):  # unknown, malformed, a folder of zones
        pass
    problem = f"must be a time zone, as in 'Europe/Berlin', not {tz!r}; where the system has none, install tzdata"
    raise InvalidTaskOptionsError(owner, "tz", problem)


def _search(expression: str, after: datetime) -> Iterator[datetime]:
    found: Iterator[datetime] = _cronsim().CronSim(expression, after)
    return found


def _cronsim() -> Any:
    try:
        import cronsim  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError("cron schedules need cronsim: pip install 'pynenc-async[cron]'") from error
    return cronsim
