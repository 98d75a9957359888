"""What the tests of interruptions share."""

import asyncio
from types import SimpleNamespace

import pytest

from pynenc_async import Pynenc, Rate
from pynenc_async.store.memory import MemoryHub, MemoryStore


@pytest.fixture(params=["memory", "stored"])
def app(request):
    """An app that keeps its invocations in memory alone, or one that has a store."""
    hub = MemoryHub()
    stored = {"store": lambda: MemoryStore(hub)} if request.param == "stored" else {}
    return Pynenc(max_concurrency=2, watchdog_seconds=None, **stored)


@pytest.fixture
def tasks(app):
    """Tasks of each policy that has a state of its own. What interrupts a body may well repeat its call."""

    @app.task(detect_cycles=False)
    async def plain(n=0):
        return n

    @app.task(detect_cycles=False, max_retries=1)
    async def failing(n=0):
        raise ValueError(n)

    def suspending(name, **options):
        async def body(n=0):
            await asyncio.sleep(0)
            return n

        body.__name__ = body.__qualname__ = name
        return app.task(detect_cycles=False, **options)(body)

    return SimpleNamespace(
        plain=plain,
        failing=failing,
        suspending=suspending("suspending"),
        limited=suspending("limited", running_concurrency="arguments", running_limit=1),
        total=suspending("total", running_total=1),
        rated=suspending("rated", rate_limit=Rate(50, per=0.01)),
        unique=suspending("unique", registration_concurrency="arguments"),
        replacing=suspending("replacing", registration_concurrency="arguments", on_duplicate="replace"),
        delayed=suspending("delayed", delay=0.001),
        deadline=suspending("deadline", deadline=50, timeout=40, expires_in=30),
    )
