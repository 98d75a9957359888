"""What the tests of the watchdog share."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
from watchdog_ears import LOOPS, Clock, Ears

from pynenc_async.execution import watchdog


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The clock of all watchdogs in this process."""
    clock = Clock()
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=clock.read, thread_time=lambda: 0.0))
    return clock


@pytest.fixture
def ears(clock):
    handler = Ears(clock)
    logger = logging.getLogger("pynenc_async")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture(params=list(LOOPS))
def run(request):
    """Run a coroutine on each kind of loop; then no thread of a watchdog is left."""

    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(main)

    return run
