"""The watchdog needs loops in real time that are really blocked: until it has said so, and no longer.

Its clock goes on only while something blocks on purpose. So nothing else is ever late, however busy the machine is.
"""

import asyncio
import logging
import threading
import time
from contextlib import contextmanager
from importlib.util import find_spec

PATIENCE_SECONDS = 50


def new_uvloop():
    import uvloop  # noqa: PLC0415  # an extra

    return uvloop.new_event_loop()


LOOPS = {"asyncio": asyncio.new_event_loop} | ({"uvloop": new_uvloop} if find_spec("uvloop") else {})


class Clock:
    """Real time, as long as it goes on."""

    def __init__(self):
        self._lock = threading.Lock()
        self._passed = 0.0
        self._began = None

    def read(self):
        with self._lock:
            return self._passed + (0.0 if self._began is None else time.monotonic() - self._began)

    @contextmanager
    def going_on(self):
        with self._lock:
            self._began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._passed += time.monotonic() - self._began
                self._began = None

    def jump(self, seconds):
        """Pass over seconds in which nothing was done, as when the process was stopped."""
        with self._lock:
            self._passed += seconds

    def block(self, seconds):
        """Block this thread while the clock goes on."""
        with self.going_on():
            threading.Event().wait(seconds)


class Ears(logging.Handler):
    """Hears what the watchdog says of invocations, in whatever thread; of other code if it is to listen `outside`."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock
        self.heard = []
        self.outside = False
        self._something = threading.Condition()

    def emit(self, record):
        if not (self.outside or record.exc_info or hasattr(record, "invocation_id")):
            return
        with self._something:
            self.heard.append(record)
            self._something.notify_all()

    def block_until_heard(self, count=1):
        """Block this thread, and with it its loop, until the watchdog has said so much."""
        with self._clock.going_on(), self._something:
            assert self._something.wait_for(lambda: len(self.heard) >= count, PATIENCE_SECONDS), "nothing was heard"

    async def until_heard(self, count):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.heard) < count:
                await asyncio.sleep(0.001)

    @property
    def messages(self):
        return [record.getMessage() for record in self.heard]


def watchdogs():
    return [thread for thread in threading.enumerate() if thread.name == "pynenc-watchdog"]
