"""What the tests of the watchdog share."""

import asyncio
import logging

import pytest
from watchdog_ears import LOOPS, Ears


@pytest.fixture
def ears():
    handler = Ears()
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
