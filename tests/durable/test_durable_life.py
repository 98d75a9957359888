"""An invocation of an app with a store: written down before its effects, told after its end is stored."""

import asyncio

import pytest
from helpers import S, statuses, turns

from pynenc_async import (
    AppNotStartedError,
    ConcurrencyLimitError,
    InvocationCancelledError,
    InvocationNotFinalError,
    SerializationError,
    StoreError,
    current_invocation,
)
from pynenc_async.scheduler import durability, writing

pytestmark = pytest.mark.virtual


async def test_a_call_is_stored_run_and_answered(world):
    app = world.app()

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with app:
        handle = add(1, 2)
        assert await handle == 3
        assert world.row(handle.invocation_id).result == b"3"
        assert world.path(handle.invocation_id) == statuses(handle) == [S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]


async def test_the_history_in_the_store_is_that_of_the_handle(world):
    app = world.app(max_concurrency=1)

    @app.task
    async def leaf(x: int) -> int:
        await asyncio.sleep(1)
        return x

    @app.task(max_retries=1, retry_delay=3)
    async def parent(x: int) -> int:
        value = await leaf(x)
        if current_invocation().num_retries == 0:
            raise ValueError("once")
        return value

    async with app:
        handle = parent(5)
        assert await handle == 5
        stored = world.hub.tables.histories[handle.invocation_id]
        assert [(step.status, step.attempt, step.timestamp, step.reason) for step in stored] == [
            (entry.status, entry.attempt, entry.timestamp, entry.reason) for entry in handle.history
        ]


async def test_a_body_begins_after_its_running_is_stored(world):
    seen = []
    app = world.app()

    @app.task
    async def look() -> None:
        seen.append(world.row(current_invocation().invocation_id).status)

    @app.task
    def look_in_thread() -> None:
        seen.append(world.row(current_invocation().invocation_id).status)

    async with app:
        await look()
        await look_in_thread()
    assert seen == [S.RUNNING, S.RUNNING]


async def test_a_result_is_stored_before_a_waiter_sees_it(world):
    app = world.app(latency=lambda: 0.5)

    @app.task
    async def give(x: int) -> int:
        return x

    async with app:
        handle = give(7)
        assert await handle == 7
        assert world.row(handle.invocation_id).status is S.SUCCESS


async def test_accepted_returns_once_the_store_has_it(world):
    app = world.app(latency=lambda: 1.0)

    @app.task
    async def give(x: int) -> int:
        return x

    async with app:
        handle = give(7)
        assert handle.invocation_id not in world.hub.tables.invocations
        assert await handle.accepted() is handle
        assert handle.invocation_id in world.hub.tables.invocations


async def test_wrong_arguments_are_refused_at_the_call_and_leave_nothing(world):
    app = world.app()

    @app.task
    async def give(x: object) -> None: ...

    async with app:
        with pytest.raises(SerializationError, match=r"arguments\.x"):
            give(object())
        assert app.statistics().living == 0
    assert not world.rows()


async def test_a_result_that_json_cannot_carry_is_a_failure(world):
    app = world.app()

    @app.task
    async def give() -> object:
        return object()

    async with app:
        handle = give()
        with pytest.raises(SerializationError, match="result"):
            await handle
        assert world.row(handle.invocation_id).status is S.FAILED


async def test_what_is_too_large_for_any_store_is_a_failure_and_holds_up_nothing(world, monkeypatch):
    for module in (durability, writing):
        monkeypatch.setattr(module, "LARGEST", 10_000)
    app = world.app()

    @app.task
    async def echo(x: str) -> str:
        return x * 2

    @app.task
    async def fail() -> None:
        raise ValueError("x" * 20_000)

    async with app:
        with pytest.raises(SerializationError, match="arguments: takes 12,008 bytes"):
            echo("x" * 12_000)
        with pytest.raises(SerializationError, match="result: takes 12,002 bytes"):
            await echo("x" * 6_000)
        failed = fail()
        with pytest.raises(ValueError, match="xxx"):
            await failed
        assert b"not stored" in world.row(failed.invocation_id).error
        assert await echo("x") == "xx"


async def test_an_app_with_a_store_must_be_started(world):
    app = world.app()

    @app.task
    async def give() -> None: ...

    with pytest.raises(AppNotStartedError, match="async with app"):
        give()


async def test_a_failure_is_told_as_the_very_exception_and_stored_as_data(world):
    error = ValueError("boom")
    app = world.app()

    @app.task
    async def fail() -> None:
        raise error

    async with app:
        handle = fail()
        with pytest.raises(ValueError, match="boom") as caught:
            await handle
        assert caught.value is error
        assert b"boom" in world.row(handle.invocation_id).error


async def test_a_queued_one_can_be_cancelled(world):
    app = world.app(max_concurrency=1)

    @app.task
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async with app:
        first = wait(5)
        await first.accepted()
        second = wait(5)
        assert await second.cancel("not needed") == "never_started"
        assert world.path(second.invocation_id)[-1] is S.CANCELLED
        with pytest.raises(InvocationCancelledError, match="not needed"):
            await second
        assert await first.cancel() == "stopped"


async def test_the_error_of_what_ends_before_it_is_registered_is_stored(world):
    app = world.app()

    @app.task(running_concurrency="task", on_limit="drop")
    async def one_at_a_time() -> None:
        await asyncio.sleep(5)

    async with app:
        first, second = one_at_a_time(), one_at_a_time()
        with pytest.raises(ConcurrencyLimitError, match="running_limit=1"):
            await second
        assert b"running_limit=1" in world.row(second.invocation_id).error
        await first


async def test_delayed_and_retried_ones_keep_their_moment_in_the_store(world):
    app = world.app()

    @app.task
    async def later() -> None: ...

    async with app:
        handle = later.with_options(delay=100)()
        await handle.accepted()
        row = world.row(handle.invocation_id)
        assert row.status is S.SCHEDULED
        assert row.due_at == row.registered_at + 100
        await handle
        assert handle.history[1].timestamp >= row.due_at


async def test_while_the_store_cannot_be_written_submission_raises_and_running_work_waits_to_be_stored(world):
    broken = False

    def before(name, _changes):
        if broken and name == "commit":
            raise StoreError("disk full")

    app = world.app(before=before)

    @app.task
    async def slow(x: int) -> int:
        await asyncio.sleep(1)
        return x

    async with app:
        running = slow(1)
        await asyncio.sleep(0.5)
        broken = True
        refused = slow(2)
        with pytest.raises(StoreError, match="disk full"):
            await refused.accepted()
        with pytest.raises(StoreError, match="disk full"):
            await refused
        with pytest.raises(StoreError, match="disk full"):
            slow(3)
        await asyncio.sleep(60)
        assert not running.status.is_final()
        broken = False
        assert await running == 1
        assert await slow(4) == 4
    assert len(world.rows()) == 2


async def test_that_the_store_does_not_answer_is_said_once_however_long_it_lasts(world, caplog):
    down = False

    def fail(_name, _changes):
        if down:
            raise StoreError("out of order")

    app = world.app(before=fail, lease_seconds=2)
    async with app:
        for down in (True, False, True, False):  # noqa: B007  read by `fail`
            await asyncio.sleep(30)
    assert sum("does not answer" in record.message for record in caplog.records) == 2


async def test_what_cannot_be_stored_at_the_shutdown_is_run_again_and_not_called_stubborn(world, caplog):
    down = False

    def fail(name, _changes):
        if down and name == "commit":
            raise StoreError("disk full")

    def make():
        app = world.app(before=fail)

        @app.task
        async def slow(x: int) -> int:
            await asyncio.sleep(1)
            return x

        return app, slow

    app, slow = make()
    async with app:
        handle = slow(1)
        while handle.status is not S.RUNNING:
            await asyncio.sleep(0)
        down = True
    messages = [record.message for record in caplog.records]
    assert "the ends of 1 invocations could not be stored: they will be run again" in messages
    assert not any("ignored" in message for message in messages)
    down = False
    again, _ = make()
    async with again:
        assert await again.get_invocation(handle.invocation_id) == 1


async def test_what_is_queued_at_the_shutdown_goes_on_with_the_next_start(world):
    ran = []

    def make():
        app = world.app(max_concurrency=1, drain_seconds=0)

        @app.task
        async def work(x: int) -> int:
            ran.append(x)
            await asyncio.sleep(10)
            return x

        return app, work

    app, work = make()
    async with app:
        handles = [work(x) for x in range(3)]
        waiting = asyncio.ensure_future(handles[2].wait())
        await asyncio.sleep(5)
    assert not await waiting
    with pytest.raises(InvocationNotFinalError, match="next start"):
        await handles[2]
    assert world.path(handles[0].invocation_id)[-2:] == [S.KILLED, S.REROUTED]
    again, _ = make()
    async with again:
        for handle in handles:
            found = again.get_invocation(handle.invocation_id)
            assert await found == ran[ran.index(handle.arguments.kwargs["x"])]
    assert sorted(ran) == [0, 0, 1, 2]
    assert [row.status for row in world.rows()] == [S.SUCCESS] * 3


async def test_an_app_can_be_started_again_and_its_ids_stay_unique(world):
    app = world.app()

    @app.task
    async def give(x: int) -> int:
        return x

    async with app:
        first = give(1)
        await first
    async with app:
        second = give(2)
        await second
        assert app.get_invocation(first.invocation_id) is first
        assert await app.get_invocation(first.invocation_id) == 1
    assert first.invocation_id != second.invocation_id
    assert first.invocation_id.partition("-")[0] != second.invocation_id.partition("-")[0]
    assert {row.invocation_id for row in world.rows()} == {first.invocation_id, second.invocation_id}


@pytest.mark.parametrize("latency", [0.0, 1.0])
async def test_starts_at_the_same_moment_are_one(world, latency):
    app = world.app(latency=lambda: latency)

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    await asyncio.gather(*(app.start() for _ in range(3)))
    assert len(world.stores) == 1
    assert await add(1, 2) == 3
    await app.shutdown()


async def test_a_start_that_fails_or_is_cancelled_is_followed_by_the_one_that_waits(world):
    calls = []

    def fail_once(name, _changes):
        calls.append(name)
        if len(calls) == 1:
            raise StoreError("not now")

    app = world.app(before=fail_once, latency=lambda: 1.0)

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    starts = []
    for _ in range(3):
        starts.append(asyncio.create_task(app.start()))
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    starts[1].cancel()
    failed, cancelled, started = await asyncio.gather(*starts, return_exceptions=True)
    assert (type(failed), type(cancelled), started) == (StoreError, asyncio.CancelledError, None)
    assert await add(1, 2) == 3
    await app.shutdown()


async def test_a_start_during_the_stop_waits_for_that_and_opens_anew(world):
    app = world.app(latency=lambda: 1.0)

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    await app.start()
    stop = asyncio.create_task(app.shutdown())
    await asyncio.sleep(0.5)
    await app.start()
    await stop
    assert await add(1, 2) == 3
    assert len(world.stores) == 2
    await app.shutdown()


@pytest.mark.slow
async def test_nothing_is_left_behind(world):
    app = world.app()

    @app.task
    async def give(x: int) -> int:
        return x

    async with app:
        assert await give.parallelize([(x,) for x in range(2_000)]) == list(range(2_000))
        assert app.statistics().living == 0
    await turns(5)
    assert len(asyncio.all_tasks()) == 1
