"""What the tests of the scheduler share: the table as a judge, a gauge for slots, and the look at what must be empty."""

import asyncio
import threading
from contextlib import contextmanager, suppress

import pytest
from hypothesis import settings
from msgspec import UNSET

from pynenc_async.status import InvocationStatus, StatusRecord, advance
from pynenc_async.store.sqlite import lease

S = InvocationStatus
USUAL = [S.REGISTERED, S.PENDING, S.RUNNING]
TURNS_TO_REST = 10


def slow(value):
    """Return a parameter of a test with which it is slow; without the others the default run would show too little."""
    return pytest.param(value, marks=pytest.mark.slow)


def examples(count):
    """Return how many examples a random search looks at: `count`, or a part of them where slow tests are left out."""
    return max(1, count * settings.default.max_examples // 100)


def statuses(invocation):
    return [entry.status for entry in invocation.history]


def reasons(invocation):
    return [entry.reason for entry in invocation.history]


def assert_lawful(invocation):
    """Replay the history against the table: transitions, ownership, attempts, order and time."""
    history = invocation.history
    current: StatusRecord | None = None
    for position, entry in enumerate(history):
        current = advance(current, entry.status, runner_id=entry.runner_id, attempt=entry.attempt)
        assert entry.order == position
    times = [entry.timestamp for entry in history]
    assert times == sorted(times)
    assert len({entry.runner_id for entry in history}) == 1
    assert history[-1].status is invocation.status
    assert sum(entry.status.is_final() for entry in history) <= 1


def leases_beside(database):
    """Return (process, until when) of every lease on this file. A lease that is just being taken or ended is left out."""
    leases = []
    for file in database.parent.glob(f"{database.name}-runner-*"):
        with suppress(FileNotFoundError):
            content = file.read_bytes()
            if len(content) == lease._CONTENT.size:
                until, _, _, pid = lease._CONTENT.unpack(content)
                leases.append((pid, until))
    return leases


async def turns(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def assert_at_rest(app):
    """Nothing lives, and nothing that served the living is left: slots, threads, queues, carriers, family ties."""
    dispatcher = app._dispatcher
    scheduler = dispatcher.scheduler
    for _ in range(TURNS_TO_REST):
        if not dispatcher.crew.standbys:
            break
        await asyncio.sleep(0)
    stats = app.statistics()
    assert (stats.living, stats.running, stats.running_in_threads) == (0, 0, 0)
    assert not dispatcher.crew.standbys
    assert not scheduler._comebacks
    assert scheduler.ready.pop() is None
    assert dispatcher.threads.queue.pop() is None
    assert (scheduler.paused, scheduler._returning) == (0, 0)
    assert not any(limiter.holders for limiter in scheduler._limiters.values())
    for record in dispatcher.store:
        assert record._driver is None
        assert record._waiters is None
        assert record._context is None
        more = record._more
        if more is not None:
            left = {name: getattr(more, name) for name in ("children", "blocked_on", "waits", "held")}
            assert not any(left.values()), (record, left)
            assert more.permit is UNSET


class Gauge:
    """Counts who is inside, from any thread, and remembers the most there ever were."""

    def __init__(self):
        self._lock = threading.Lock()
        self.inside = 0
        self.peak = 0

    def __enter__(self):
        with self._lock:
            self.inside += 1
            self.peak = max(self.peak, self.inside)

    def __exit__(self, *_):
        with self._lock:
            self.inside -= 1

    @contextmanager
    def away(self):
        """Leave for the time of an await, and come back however it ends."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


class Gate:
    """An event that bodies in threads and in the loop may wait for, and that any thread may open."""

    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self._open = asyncio.Event()
        self._thread_open = threading.Event()

    def open(self):
        self._thread_open.set()
        self._loop.call_soon_threadsafe(self._open.set)

    async def wait(self):
        await self._open.wait()

    def block(self):
        assert self._thread_open.wait(30), "the gate was never opened"


def recorder(app):
    """Return the order in which bodies began, a task in the loop, and one in a thread."""
    order = []

    @app.task
    async def in_loop(name):
        order.append(name)

    @app.task
    def in_thread(name):
        order.append(name)

    return order, in_loop, in_thread


async def held_slot(app):
    """Take the only slot; return what frees it."""
    gate = Gate()

    @app.task(priority=1_000)
    async def holder():
        await gate.wait()

    handle = holder()
    while handle.status is S.REGISTERED:
        await asyncio.sleep(0)
    return gate
