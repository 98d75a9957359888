"""The watchdog needs loops in real time that are really blocked: until it has said so, and no longer."""

import asyncio
import logging
import threading
from importlib.util import find_spec

PATIENCE_SECONDS = 10


def new_uvloop():
    import uvloop  # noqa: PLC0415  # an extra

    return uvloop.new_event_loop()


LOOPS = {"asyncio": asyncio.new_event_loop} | ({"uvloop": new_uvloop} if find_spec("uvloop") else {})


class Ears(logging.Handler):
    """Hears what the watchdog says of invocations, in whatever thread; of other code if it is to listen `outside`.

    Where the machine is busy a loop may be late though nothing blocks it, and that is true then.
    """

    def __init__(self):
        super().__init__()
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
        with self._something:
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
