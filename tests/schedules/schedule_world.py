"""A virtual loop whose time of day can be set, and that can be blocked."""

import asyncio
from datetime import UTC, datetime

from pynenc_async import Pynenc, current_fire

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)


class World:
    def __init__(self, begin=BEGIN):
        self._loop = loop = asyncio.get_running_loop()
        self._true = loop.wall_time
        self.skew = begin.timestamp() - self._true()
        self.begin = begin.timestamp()
        loop.wall_time = lambda: self._true() + self.skew

    def now(self):
        return self._loop.wall_time()

    def elapsed(self):
        """Seconds since the beginning, by the clock on the wall."""
        return round(self.now() - self.begin, 3)

    def set_clock(self, seconds):
        """Set the clock by so much; to a loop, a machine that slept is the same."""
        self.skew += seconds

    def block(self, seconds):
        """Let time pass while nothing else happens."""
        self._loop._autojump._move_to(self._loop.time() + seconds)


def ticking(decorate, *, lasts=0.0, **app_options):
    """Return an app with one task that is decorated, and for which moments (seconds since the beginning) it has run."""
    app, ran = Pynenc(**app_options), []

    @decorate(app)
    async def tick():
        ran.append((current_fire().moment - BEGIN).total_seconds())
        await asyncio.sleep(lasts)

    return app, ran


def only_schedule(app):
    (schedule,) = app.schedules.values()
    return schedule
