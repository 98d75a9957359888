"""What is told to stop and cannot: without a slot, not yet begun, or at the very moment of something else."""

import asyncio
import contextvars
import gc
import threading

import pytest
from helpers import S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import CancelOutcome, InvocationExpiredError, InvocationTimeoutError, Pynenc
from pynenc_async.execution.threads.driver import ThreadDriver


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.virtual
async def test_a_grace_that_ends_when_the_timeout_would_have_is_still_a_grace():
    app = Pynenc()

    @app.task(timeout=10, cancel_grace=10)
    async def work():
        while now() < 1_000:
            try:
                await asyncio.sleep(1_000)
            except asyncio.CancelledError:
                pass

    handle = work()
    await turns(2)
    assert await handle.cancel("enough") is CancelOutcome.STOPPED
    assert now() == 10
    await asyncio.sleep(2_000)
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("by", ["timeout", "deadline", "cancel"])
async def test_a_paused_body_that_gets_no_slot_to_clean_up_in_is_let_go_in_time_and_cleans_up_later(by, caplog):
    app, cleaned = Pynenc(max_concurrency=1), []

    @app.task
    async def child():
        pass

    @app.task
    async def hog():
        await asyncio.sleep(100)

    @app.task(cancel_grace=5, max_retries=3, **({} if by == "cancel" else {by: 1}))
    async def parent():
        try:
            await child.with_options(delay=0.5, priority=-1)()
        finally:
            cleaned.append(now())

    handle = parent()
    await turns(3)
    long = hog()
    await asyncio.sleep(1)
    if by == "cancel":
        assert await handle.cancel() is CancelOutcome.STOPPED
        assert handle.status is S.CANCELLED
    else:
        with pytest.raises(InvocationTimeoutError):
            await handle
        assert handle.status is S.FAILED
    assert now() == 6
    assert "still waiting" in caplog.text
    assert "ignored" not in caplog.text
    assert_lawful(handle)
    assert cleaned == []
    await long
    await turns(5)
    assert cleaned == [100]
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_deadline_that_passes_while_a_retry_waits_for_its_limit_cancels_it_and_says_so():
    app = Pynenc()

    @app.task(running_concurrency="task", max_retries=1, deadline=5)
    async def work(seconds):
        await asyncio.sleep(seconds)
        if seconds == 1:
            raise LookupError

    handle, long = work(1), work.with_options(deadline=None)(10)
    with pytest.raises(InvocationTimeoutError, match="deadline"):
        await handle
    assert now() == 5
    assert statuses(handle)[-2:] == [S.RETRY, S.CANCELLED]
    assert_lawful(handle)
    await long
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_delay_that_is_due_after_something_went_wrong_is_still_due():
    app, ran = Pynenc(), []

    @app.task
    async def work(n):
        ran.append((n, now()))

    await work(0)
    agenda, loop, told = app._dispatcher.scheduler.agenda, asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    agenda.call_later(1, lambda: 1 / 0)
    later = [work.with_options(delay=delay)(delay) for delay in (1, 2)]
    for handle in later:
        await handle
    assert [type(error) for error in told] == [ZeroDivisionError]
    assert ran[1:] == [(1, 1), (2, 2)]
    await assert_at_rest(app)


# -- bodies that were handed out to a thread and have not begun: in real time, for threads do not wait for a virtual one


class Crowd:
    """An app whose only thread is held up, so that what is handed out next has to wait for it."""

    def __init__(self):
        self.app = Pynenc(max_threads=1)
        self.go_on = threading.Event()

        @self.app.task
        def hold():
            self.go_on.wait(30)

        self.hold = hold

    async def __aenter__(self):
        self.held = self.hold()
        await until(S.RUNNING, self.held)
        self.app._dispatcher.threads.ahead = 10  # as after many short bodies
        return self

    async def __aexit__(self, *_):
        self.go_on.set()
        await self.held
        await assert_at_rest(self.app)


async def until(status, handle):
    async with asyncio.timeout(30):
        while handle.status is not status:
            await asyncio.sleep(0)


def test_a_body_that_has_not_begun_in_its_thread_does_not_time_out():
    crowd = Crowd()

    @crowd.app.task(timeout=0.02, cancel_grace=0.02)
    def work():
        return 1

    async def main():
        async with crowd:
            handle = work()
            await until(S.PENDING, handle)
            assert not await handle.wait(0.1)
            assert handle.status is S.PENDING
            crowd.go_on.set()
            assert await handle == 1
            assert_lawful(handle)

    asyncio.run(main())


@pytest.mark.slow
def test_at_its_deadline_it_is_taken_back():
    crowd, ran = Crowd(), []

    @crowd.app.task(deadline=0.5)  # it is to be pending by then
    def work():
        ran.append(1)

    async def main():
        async with crowd:
            handle = work()
            await until(S.PENDING, handle)
            with pytest.raises(InvocationExpiredError, match="deadline"):
                await handle
            assert statuses(handle)[-1] is S.CANCELLED
            assert_lawful(handle)
        assert ran == []

    asyncio.run(main())


def test_the_timeout_of_a_body_in_a_thread_counts_from_its_beginning():
    crowd, stop = Crowd(), threading.Event()

    @crowd.app.task(timeout=0.05, cancel_grace=0.02)
    def work():
        stop.wait(30)

    async def main():
        async with crowd:
            handle = work()
            await until(S.PENDING, handle)
            assert not await handle.wait(0.04)
            crowd.go_on.set()
            with pytest.raises(InvocationTimeoutError):
                await handle
            begun = next(entry.timestamp for entry in handle.history if entry.status is S.RUNNING)
            assert handle.history[-1].timestamp - begun >= 0.05
            assert_lawful(handle)
            stop.set()
            while crowd.app.statistics().running_in_threads:
                await asyncio.sleep(0)

    asyncio.run(main())


async def until_all_have_left_but(count, app):
    staff = app._dispatcher.crew.threads.staff
    async with asyncio.timeout(30):
        while staff.resting or len(staff.workers) > count:
            await asyncio.sleep(0)


def hangs_until(event):
    event.wait(30)


@pytest.mark.parametrize("by", ["timeout", "cancel", "shutdown"])
def test_a_thread_that_hangs_in_an_abandoned_body_is_replaced(by):
    app, stop, count = Pynenc(max_threads=2), threading.Event(), 5
    timeout = 0.02 if by == "timeout" else None

    @app.task(timeout=timeout, cancel_grace=0.02)
    def hang(n):
        hangs_until(stop)

    @app.task
    def quick():
        return threading.get_ident()

    async def main():
        for n in range(count):
            handle = hang(n)
            await until(S.RUNNING, handle)
            if by == "cancel":
                await handle.cancel()
            elif by == "timeout":
                with pytest.raises(InvocationTimeoutError):
                    await handle
            assert len(set(await quick.parallelize([() for _ in range(20)]))) <= 2
        stop.set()
        # Whoever finds that there is one too many leaves: so only when all have come back is it settled who stays.
        await until_all_have_left_but(2, app)
        assert len(set(await quick.parallelize([() for _ in range(50)]))) <= 2
        await assert_at_rest(app)

    async def restart():
        app._shutdown.hurry()
        for n in range(count):
            await until(S.RUNNING, hang(n))
            await app.shutdown(0)
            await app.start()
            app._shutdown.hurry()
            await quick()
        stop.set()
        await quick.parallelize([() for _ in range(50)])
        await assert_at_rest(app)

    asyncio.run(restart() if by == "shutdown" else main())


def test_no_more_bodies_run_than_threads_when_an_abandoned_one_goes_on():
    app, stop, inside, most = Pynenc(max_threads=2), threading.Event(), [], []

    @app.task(cancel_grace=0.01)
    def hang():
        hangs_until(stop)

    @app.task
    def count():
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.001)
        inside.pop()

    async def main():
        for _ in range(3):
            handle = hang()
            await until(S.RUNNING, handle)
            await handle.cancel()
        group = count.parallelize([() for _ in range(20)])
        stop.set()
        await group
        await count.parallelize([() for _ in range(20)])
        assert max(most) <= 2
        await assert_at_rest(app)

    asyncio.run(main())


def test_idle_threads_end_with_their_app():
    async def main():
        app = Pynenc(watchdog_seconds=None)

        @app.task
        def work():
            return threading.current_thread()

        return set(await work.parallelize([() for _ in range(20)]))

    for thread in asyncio.run(main()):
        while thread.is_alive():  # one that is just done with its work may hold the app while the collector looks
            gc.collect()
            thread.join(0.01)


def test_a_body_that_is_seen_to_run_can_be_abandoned_at_once():
    class Watched:
        _more = None
        _status = property(lambda self: S.PENDING, lambda self, status: seen.append((status, driver.thread_id)))

    class Desk:
        clock = staticmethod(lambda: 0.0)

    seen = []
    driver = ThreadDriver(Watched(), contextvars.copy_context(), {})
    driver.begin(Desk())
    assert seen == [(S.RUNNING, threading.get_ident())]
