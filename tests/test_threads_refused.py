"""The system refuses threads: what waits runs where there is a thread, is tried again, and in the end is told why."""

import asyncio
import logging
import subprocess
import sys
import textwrap

import pytest
from helpers import S, assert_at_rest, assert_lawful, slow
from refusals import REFUSALS, System

from pynenc_async import Pynenc, WorkerCrashedError


@pytest.fixture
def refuse(monkeypatch):
    return lambda **options: System(monkeypatch, **options)


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
async def test_the_threads_that_live_run_all_that_waits(refuse, error):
    system = refuse(free=2, error=error)
    app = Pynenc(max_threads=8)

    @app.task
    def work(n: int) -> int:
        return n

    assert await work.parallelize([(n,) for n in range(100)]) == list(range(100))
    assert system.refused
    await assert_at_rest(app)


async def test_what_waits_for_the_first_thread_runs_as_soon_as_there_is_one(refuse):
    system = refuse()
    app = Pynenc(max_threads=4)

    @app.task
    def work(n: int) -> int:
        return n

    group = work.parallelize([(n,) for n in range(10)])
    while not system.refused:
        await asyncio.sleep(0)
    system.relent()
    assert await group == list(range(10))
    await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
async def test_without_any_thread_it_fails_and_the_error_says_why(refuse, error, caplog):
    system = refuse(error=error)
    async with Pynenc(max_threads=4) as app:

        @app.task
        def work(n: int) -> int:
            return n

        group = work.parallelize([(n,) for n in range(3)])
        with caplog.at_level(logging.WARNING, "pynenc_async"):
            for invocation in group:
                with pytest.raises(WorkerCrashedError, match=r"no thread could start for task .*work: .") as caught:
                    await invocation
                assert caught.value.__cause__ is error
                assert invocation.status is S.FAILED
                assert_lawful(invocation)
        assert sum("a thread could not be started" in record.getMessage() for record in caplog.records) == 1
        system.relent()
        assert await work(4) == 4
        await assert_at_rest(app)


@pytest.mark.slow
async def test_it_is_retried_as_after_any_failure(refuse):
    system = refuse()
    app = Pynenc()

    @app.task(max_retries=1, retry_delay=0)
    def work() -> str:
        return "done"

    invocation = work()
    while invocation.num_retries == 0:
        await asyncio.sleep(0)
    system.relent()
    assert await invocation == "done"


@pytest.mark.slow
async def test_a_body_that_waits_for_one_without_a_thread_is_told(refuse):
    system = refuse(free=1)
    app = Pynenc(max_threads=2)

    @app.task
    def child() -> None:
        raise AssertionError("it has no thread")

    @app.task
    def parent() -> str:
        with pytest.raises(WorkerCrashedError):
            _ = child().result
        return "told"

    assert await parent() == "told"
    assert system.refused
    await assert_at_rest(app)


@pytest.mark.slow
async def test_what_nobody_waits_for_is_run_by_a_thread_that_comes_back(refuse):
    system = refuse(free=1)
    app = Pynenc(max_threads=2)
    told = asyncio.Event()

    @app.task
    async def gate() -> None:
        await told.wait()

    @app.task
    def parent() -> None:
        gate().exception()

    @app.task
    def other() -> str:
        return "ran"

    waiting, later = parent(), other()
    while system.refused < 5:  # more often than it would be tried where no thread lives
        await asyncio.sleep(0)
    assert not later.status.is_final()
    told.set()
    assert await later == "ran"
    await waiting


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"max_threads": 1}, {"max_concurrency": 2}, {"max_threads": 2}], ids=str)
async def test_a_thread_that_waits_comes_back_though_others_hold_all_slots(refuse, options):
    system = refuse(free=1)
    app, told = Pynenc(**options), asyncio.Event()

    @app.task(priority=1)
    async def gate() -> None:
        await told.wait()

    @app.task
    def parent(n: int) -> int:
        gate().exception()
        return n

    handles = [parent(n) for n in range(6)]
    while not system.refused:
        await asyncio.sleep(0)
    told.set()
    assert [await one for one in handles] == list(range(6))
    for one in handles:
        assert_lawful(one)
    await assert_at_rest(app)


@pytest.mark.parametrize("url", ["memory://", slow("sqlite:///")])
async def test_bodies_that_wait_for_others_in_the_only_thread_all_end(refuse, url, tmp_path):
    refuse(free=1)
    async with Pynenc(url + str(tmp_path / "jobs.db") * url.startswith("sqlite"), max_threads=3) as app:

        @app.task
        def leaf(n: int) -> int:
            return n

        @app.task
        def parent(n: int) -> int:
            return leaf(n).result

        handles = [parent(n) for n in range(3)]
        for one in handles:
            await one.wait()
            assert one.exception() is None or isinstance(one.exception(), WorkerCrashedError)
            assert_lawful(one)
        await assert_at_rest(app)


async def test_it_is_cancelled_while_it_waits_for_a_thread(refuse):
    system = refuse()
    app = Pynenc()

    @app.task
    def work() -> None:
        raise AssertionError("it has no thread")

    invocation = work()
    while not system.refused:
        await asyncio.sleep(0)
    await invocation.cancel("enough")
    assert invocation.status is S.CANCELLED
    await assert_at_rest(app)


async def test_the_shutdown_ends(refuse):
    system = refuse()
    async with Pynenc() as app:

        @app.task
        def work() -> None:
            raise AssertionError("it has no thread")

        invocation = work()
        while not system.refused:
            await asyncio.sleep(0)
        await app.shutdown(drain_seconds=0)
    assert invocation.status is S.CANCELLED


@pytest.mark.slow
async def test_with_a_store_it_fails_in_the_same_way(refuse, tmp_path):
    refuse()
    async with Pynenc(f"sqlite:///{tmp_path}/jobs.db") as app:

        @app.task
        def work() -> None:
            raise AssertionError("it has no thread")

        with pytest.raises(WorkerCrashedError, match="no thread could start"):
            await work()


@pytest.mark.slow
async def test_a_watchdog_without_a_thread_is_logged_once_and_does_no_harm(refuse, caplog):
    refuse(name="pynenc-watchdog")
    with caplog.at_level(logging.WARNING, "pynenc_async"):
        async with Pynenc(watchdog_seconds=0.05) as app:

            @app.task
            async def work() -> str:
                await asyncio.sleep(0.2)
                return "done"

            assert await work() == "done"
            assert await work() == "done"
    told = sum("watchdog" in record.getMessage() for record in caplog.records)
    assert told == (0 if app._dispatcher.loop.__class__.__name__ == "VirtualLoop" else 1)


@pytest.mark.parametrize("free", [slow(0), 1])
def test_the_program_ends(free):
    program = f"""
        import threading
        from pynenc_async import Pynenc, WorkerCrashedError
        start, free = threading.Thread.start, {free}
        def refuse(thread):
            global free
            free -= 1
            if free < 0:
                raise RuntimeError("can't start new thread")
            start(thread)
        threading.Thread.start = refuse
        app = Pynenc(watchdog_seconds=None)
        @app.task
        def work(n: int) -> int:
            return n
        async def main():
            try:
                print(sum(await work.parallelize([(n,) for n in range(5)])))
            except WorkerCrashedError:
                print("told")
        app.run(main)
    """
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "10" if free else "told"), done.stderr
