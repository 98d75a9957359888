"""A `def` whose time is up: the attempt fails at that moment, though nothing can stop its thread."""

import asyncio
import threading

import pytest
from helpers import S, assert_at_rest, assert_lawful, statuses

from pynenc_async import InvocationTimeoutError, Pynenc, current_invocation, inject
from pynenc_async.clock import SimulatedLoop

URLS = ["memory://", "sqlite:///{}/jobs.db"]


class Hang:
    """Bodies that go on until they are let go."""

    def __init__(self) -> None:
        self._go_on = threading.Event()
        self.begun = threading.Semaphore(0)
        self.ended = []

    def __call__(self, value="late"):
        self.begun.release()
        self._go_on.wait(30)
        self.ended.append(value)
        return value

    def let_go(self):
        self._go_on.set()


@pytest.fixture
async def hang():
    if isinstance(asyncio.get_running_loop(), SimulatedLoop):
        pytest.skip("simulated time stands still while a thread works")
    hang = Hang()
    yield hang
    hang.let_go()


async def until_threads_are_idle(app):
    async with asyncio.timeout(20):
        while app.statistics().running_in_threads:
            await asyncio.sleep(0)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("by", ["timeout", "deadline"])
async def test_the_waiter_hears_at_once_and_the_late_value_is_dropped_and_logged(hang, url, by, tmp_path, caplog):
    app = Pynenc(url.format(tmp_path))

    @app.task(**{by: 0.02})
    def work() -> str:
        return hang()

    async with app:
        handle = work()
        with pytest.raises(InvocationTimeoutError, match="timeout=0.02 s" if by == "timeout" else "deadline"):
            await handle
        assert hang.ended == []
        assert handle.status is S.FAILED
        assert app.statistics().running_in_threads == 1
        hang.let_go()
        await until_threads_are_idle(app)
        assert "its body returned, which is dropped" in caplog.text
        assert handle.status is S.FAILED
        assert_lawful(handle)
        await assert_at_rest(app)


async def test_a_late_failure_is_logged_too(hang, caplog):
    app = Pynenc()

    @app.task(timeout=0.02)
    def work():
        raise LookupError(hang())

    async with app:
        with pytest.raises(InvocationTimeoutError):
            await work()
        hang.let_go()
        await until_threads_are_idle(app)
    assert "its body raised LookupError, which is dropped" in caplog.text


@pytest.mark.parametrize("url", URLS)
async def test_the_attempt_may_be_retried_beside_the_body_that_goes_on(hang, url, tmp_path):
    app, tries = Pynenc(url.format(tmp_path)), []

    @app.task(timeout=0.02, max_retries=1)
    def work() -> str:
        tries.append(None)
        return hang() if len(tries) == 1 else "in time"

    async with app:
        handle = work()
        assert await handle == "in time"
        assert hang.ended == []
        assert handle.num_retries == 1
        hang.let_go()
        await until_threads_are_idle(app)
        assert await handle == "in time"
        assert statuses(handle).count(S.RETRY) == 1
        assert_lawful(handle)


@pytest.mark.usefixtures("hang")
@pytest.mark.parametrize("retries", [0, 1])
async def test_the_body_sees_that_it_is_to_stop_also_when_it_is_retried(retries):
    app, seen, begun = Pynenc(), threading.Event(), []

    @app.task(timeout=0.02, max_retries=retries)
    def work():
        begun.append(None)
        if len(begun) == 1:
            while not current_invocation().stop_requested:
                pass
            seen.set()

    async with app:
        await work().wait()
        assert await asyncio.to_thread(seen.wait, 20)
        await until_threads_are_idle(app)


async def test_a_body_that_was_left_behind_waits_for_nothing_more(hang):
    app, errors, over, goes_on = Pynenc(), [], threading.Event(), asyncio.Event()

    @app.task
    async def child():
        await goes_on.wait()

    @app.task(timeout=0.02)
    def work():
        hang()
        try:
            child.with_options(detached=True)().blocking_result()
        except asyncio.CancelledError as error:
            errors.append(error)
        over.set()

    async with app:
        with pytest.raises(InvocationTimeoutError):
            await work()
        hang.let_go()
        assert await asyncio.to_thread(over.wait, 20)
        assert len(errors) == 1
        goes_on.set()


async def test_it_keeps_its_thread_until_it_ends(hang):
    app = Pynenc(max_threads=1)

    @app.task(timeout=0.02)
    def work():
        hang()

    @app.task
    def next_one():
        return len(hang.ended)

    async with app:
        with pytest.raises(InvocationTimeoutError):
            await work()
        waits = next_one()
        assert not await waits.wait(0.01)
        hang.let_go()
        assert await waits == 1


async def test_after_its_grace_another_thread_takes_its_place(hang, caplog):
    app = Pynenc(max_threads=1)

    @app.task(timeout=0.02, cancel_grace=0.02)
    def work():
        hang()

    @app.task
    def next_one():
        return len(hang.ended)

    async with app:
        with pytest.raises(InvocationTimeoutError):
            await work()
        assert await next_one() == 0
        assert "its body goes on in a thread, and is abandoned" in caplog.text
        hang.let_go()
        await until_threads_are_idle(app)


async def test_what_surrounds_the_body_is_told_and_cleans_up(hang):
    app, seen = Pynenc(), []

    @app.resource
    async def database():
        try:
            yield "open"
        finally:
            seen.append("closed")

    @app.middleware
    async def notes(_invocation, call_next):
        try:
            return await call_next()
        except InvocationTimeoutError:
            seen.append("told")
            raise

    @app.task(timeout=0.02)
    def work(db: str = inject(database)):
        hang(db)

    async with app:
        with pytest.raises(InvocationTimeoutError):
            await work()
        assert seen == ["closed", "told"]
        assert hang.ended == []
        hang.let_go()
        await until_threads_are_idle(app)


def test_a_loop_may_end_meanwhile_and_the_next_one_has_all_threads():
    app, hang = Pynenc(max_threads=1), Hang()

    @app.task(timeout=0.02)
    def work():
        hang()

    @app.task
    def next_one():
        return len(hang.ended)

    async def leave():
        with pytest.raises(InvocationTimeoutError):
            await work()

    asyncio.run(leave())

    async def go_on():
        return await next_one()

    assert asyncio.run(go_on()) == 0
    hang.let_go()


@pytest.mark.virtual
async def test_in_simulated_time_too():
    app = Pynenc()

    @app.task(timeout=2)
    def work():
        return "in time"

    assert await work() == "in time"
