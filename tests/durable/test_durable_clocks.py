"""A clock on the wall that is set while something waits in the store: it waits as long as was asked for, and not longer."""

import asyncio
import datetime as dt

import pytest

from pynenc_async import InvocationExpiredError, InvocationTimeoutError, RetryError

pytestmark = pytest.mark.virtual
HOUR = 3600.0
JUMPS = [-HOUR, HOUR]


class Clock:
    """The clock on the wall, and the time that has really passed."""

    def __init__(self, loop):
        self.skew = 0.0
        self.passed = loop.time
        true = loop.wall_time
        loop.wall_time = lambda: true() + self.skew

    def in_seconds(self, seconds):
        now = asyncio.get_running_loop().wall_time()
        return dt.datetime.fromtimestamp(now + seconds, dt.UTC)


@pytest.fixture
async def clock():
    return Clock(asyncio.get_running_loop())


@pytest.fixture(params=["stopped", "killed"])
def end(request, world):
    """How a process ends."""

    async def end(app):
        if request.param == "killed":
            world.stores[-1].kill(is_noticed=True)
        await app.shutdown()

    return end


def define(app, clock, **options):
    """Return a task that tells when it has begun, and fails at its first attempt where it may be retried."""
    began = []

    @app.task(**options)
    async def work(number: int = 0) -> None:
        began.append(clock.passed())
        if options.get("max_retries") and len(began) == 1:
            raise RetryError(after=60)

    return work, began


def fill_window(app):
    """Let the window be full until the returned event is set: what is submitted meanwhile lies in the store alone."""
    free = asyncio.Event()

    @app.task
    async def hold(number: int) -> None:
        await free.wait()

    for number in range(4):
        hold(number)
    return free


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("submitted", ["before", "after"])
@pytest.mark.parametrize("asked", ["delay", "at"])
async def test_a_delay_in_the_store_is_as_long_as_was_asked_for(world, clock, jump, submitted, asked):
    app = world.app(store_window=1, max_concurrency=1)
    work, began = define(app, clock)
    async with app:
        free = fill_window(app)
        clock.skew = jump if submitted == "after" else 0
        options = {"delay": 60} if asked == "delay" else {"at": clock.in_seconds(60)}
        put_off, at = work.with_options(**options)(), clock.passed()
        await put_off.accepted()
        assert not world.row(put_off.invocation_id).taken
        clock.skew = jump
        free.set()
        await put_off
        assert began == [pytest.approx(at + 60, abs=0.1)]


@pytest.mark.parametrize("asked", ["delay", "at", "retry"])
async def test_after_a_restart_nothing_is_put_off_for_longer_than_it_was(world, clock, end, asked):
    app = world.app()
    work, began = define(app, clock, max_retries=1)
    await app.start()
    clock.skew = -HOUR  # set back while it runs, and again until the next start
    options = {"delay": {"delay": 60}, "at": {"at": clock.in_seconds(60)}, "retry": {}}[asked]
    invocation = work.with_options(**options)()
    await invocation.accepted()
    await asyncio.sleep(1)
    await end(app)
    clock.skew = -2 * HOUR
    app = world.app()
    work, began = define(app, clock)
    async with app:
        started = clock.passed()
        await app.get_invocation(invocation.invocation_id)
    assert len(began) == 1
    assert began[0] <= started + 60.1


async def test_after_a_restart_what_was_put_off_waits_for_the_rest_of_it(world, clock, end):
    app = world.app()
    work, _ = define(app, clock)
    await app.start()
    invocation, at = work.with_options(delay=60)(), clock.passed()
    await invocation.accepted()
    await end(app)
    await asyncio.sleep(20)
    app = world.app()
    work, began = define(app, clock)
    async with app:
        await app.get_invocation(invocation.invocation_id)
    assert began == [pytest.approx(at + 60, abs=0.1)]


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_deadline_in_the_store_is_as_far_off_as_was_asked_for(world, clock, jump):
    app = world.app(store_window=1, max_concurrency=1)

    @app.task
    async def forever() -> None:
        await asyncio.Event().wait()

    async with app:
        free = fill_window(app)
        late, at = forever.with_options(deadline=60, cancel_grace=1)(), clock.passed()
        await late.accepted()
        clock.skew = jump
        free.set()
        with pytest.raises(InvocationTimeoutError):
            await late
        assert clock.passed() == pytest.approx(at + 60, abs=0.1)


async def test_after_a_restart_no_deadline_is_further_off_than_it_was(world, clock, end):
    def define(app):
        @app.task(deadline=60)
        async def forever() -> None:
            await child()

        @app.task
        async def child() -> None:
            await asyncio.Event().wait()

        return forever

    app = world.app(drain_seconds=0)
    forever = define(app)
    await app.start()
    clock.skew = -HOUR
    invocation = forever()
    await asyncio.sleep(1)
    await end(app)
    clock.skew = -2 * HOUR
    app = world.app()
    define(app)
    async with app:
        started = clock.passed()
        with pytest.raises(InvocationTimeoutError):
            await app.get_invocation(invocation.invocation_id)
        assert clock.passed() <= started + 60.1
        for found in (await app.find()).invocations:
            await found.wait(timeout=1)
            assert found.status.is_final()


async def test_what_expires_counts_its_wait_through_a_restart(world, clock):
    def define(app):
        @app.task(expires_in=60)
        async def work() -> None:
            await asyncio.Event().wait()

        return work

    app = world.app(max_concurrency=1, drain_seconds=0)
    work = define(app)
    await app.start()
    work.with_options(expires_in=None)()
    early = work()
    await early.accepted()
    await asyncio.sleep(40)
    late, at = work(), clock.passed()
    await late.accepted()
    await app.shutdown()
    await asyncio.sleep(25)
    app = world.app(max_concurrency=1, drain_seconds=0)
    define(app)
    async with app:
        started = clock.passed()
        with pytest.raises(InvocationExpiredError):
            await app.get_invocation(early.invocation_id)
        assert clock.passed() - started < 1
        with pytest.raises(InvocationExpiredError):
            await app.get_invocation(late.invocation_id)
        assert clock.passed() == pytest.approx(at + 60, abs=1)


@pytest.mark.parametrize("jump", [0, *JUMPS])
async def test_what_expires_counts_its_wait_in_the_store(world, clock, jump):
    app = world.app(store_window=1, max_concurrency=1)
    work, _ = define(app, clock, expires_in=60)
    async with app:
        free = fill_window(app)
        expired = work()
        await expired.accepted()
        assert not world.row(expired.invocation_id).taken
        await asyncio.sleep(61)
        clock.skew = jump
        in_time = work()
        free.set()
        if jump >= 0:  # where the clock was set back, nobody knows how long it has waited: it may begin
            with pytest.raises(InvocationExpiredError):
                await expired
        await in_time


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("submitted", ["before", "after"])
async def test_a_unique_key_stands_as_long_as_was_asked_for(world, clock, jump, submitted):
    app = world.app()
    work, began = define(app, clock, registration_concurrency="task", unique_for=60)
    async with app:
        clock.skew = jump if submitted == "after" else 0
        await work()
        clock.skew = jump
        await asyncio.sleep(59)
        await work()
        assert len(began) == 1
        await asyncio.sleep(1.1)
        await work()
        assert len(began) == 2


async def test_after_a_restart_no_unique_key_stands_longer_than_it_was_to(world, clock, end):
    options = {"registration_concurrency": "task", "unique_for": 60}
    app = world.app()
    work, _ = define(app, clock, **options)
    await app.start()
    await work()
    await end(app)
    clock.skew = -HOUR
    app = world.app()
    work, began = define(app, clock, **options)
    async with app:
        await asyncio.sleep(59)
        await work()
        assert began == []
        await asyncio.sleep(1.1)
        await work()
        assert len(began) == 1
