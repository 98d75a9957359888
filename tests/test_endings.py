"""However a body ends, its invocation ends, its waiters wake, and the loop goes on."""

import asyncio

import pytest
from helpers import USUAL, S, assert_at_rest, assert_lawful, statuses

from pynenc_async import InvocationCancelledError, Pynenc, current_invocation


class OddError(BaseException):
    """As far from `Exception` as a user can go."""


ERRORS = (LookupError, SystemExit, KeyboardInterrupt, GeneratorExit, OddError, StopAsyncIteration, TimeoutError)


def coroutine_at_once(error):
    async def body():
        raise error

    return body


def coroutine_later(error):
    async def body():
        await asyncio.sleep(0)
        raise error

    return body


def thread(error):
    def body():
        raise error

    return body


def stream(error):
    async def body():
        yield 1
        raise error

    return body


def callable_object(error):
    class Body:
        __name__ = __qualname__ = "Body"

        async def __call__(self):
            raise error

    return Body()


BODIES = (coroutine_at_once, coroutine_later, thread, callable_object)


@pytest.mark.parametrize("make_body", BODIES)
@pytest.mark.parametrize("kind", ERRORS)
async def test_an_error_of_any_kind_is_the_failure_and_the_very_same_object(kind, make_body):
    app = Pynenc(max_concurrency=1)
    error = kind("why")
    invocation = app.task(make_body(error))()
    await invocation.wait()
    assert statuses(invocation) == [*USUAL, S.FAILED]
    assert invocation.exception() is error
    with pytest.raises(kind) as caught:
        await invocation
    assert caught.value is error
    assert_lawful(invocation)
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ERRORS)
async def test_waiters_in_bodies_and_threads_get_the_same_object(kind):
    app = Pynenc()
    error = kind("why")

    @app.task
    async def fail():
        await asyncio.sleep(0)
        raise error

    def catch(handle):
        try:
            handle.result  # noqa: B018
        except BaseException as caught:
            return caught

    @app.task
    async def in_loop(handle):
        await handle.wait()
        return catch(handle)

    in_thread = app.task(catch)
    invocation = fail()
    waiters = [in_loop(invocation), in_thread(invocation)]
    assert all([await waiter is error for waiter in waiters])
    await assert_at_rest(app)


@pytest.mark.parametrize("make_body", BODIES)
async def test_a_body_that_raises_cancelled_error_is_cancelled(make_body):
    app = Pynenc()
    invocation = app.task(make_body(asyncio.CancelledError()))()
    with pytest.raises(InvocationCancelledError):
        await invocation
    assert statuses(invocation) == [*USUAL, S.CANCELLED]
    assert invocation.history[-1].reason
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_a_body_that_awaits_a_cancelled_task_is_cancelled_and_its_waiter_is_not():
    app = Pynenc()

    @app.task
    async def body():
        task = asyncio.ensure_future(asyncio.sleep(100))
        task.cancel()
        await task

    with pytest.raises(InvocationCancelledError):
        await body()
    assert not asyncio.current_task().cancelling()


async def test_stop_iteration_in_a_thread_is_kept_and_reaches_waiters_as_the_cause():
    app = Pynenc()
    error = StopIteration(5)
    invocation = app.task(thread(error))()
    with pytest.raises(RuntimeError) as caught:
        await invocation
    assert caught.value.__cause__ is error
    assert invocation.status is S.FAILED
    assert invocation.exception() is error


async def test_stop_iteration_in_a_coroutine_is_what_python_makes_of_it():
    app = Pynenc()
    with pytest.raises(RuntimeError, match="StopIteration"):
        await app.task(coroutine_at_once(StopIteration(5)))()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, LookupError])
async def test_a_stream_that_raises_has_failed(kind):
    app = Pynenc()
    invocation = app.task(stream(kind("why")))()
    with pytest.raises(kind):
        await invocation
    assert invocation.status is S.FAILED
    await assert_at_rest(app)


async def test_the_work_behind_a_body_that_exits_goes_on():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def leave():
        raise SystemExit(3)

    @app.task
    async def work(n):
        return n

    handles = [task for n in range(3) for task in (leave(), work(n))]
    for n in range(3):
        assert await handles[2 * n + 1] == n
        with pytest.raises(SystemExit):
            await handles[2 * n]
    await assert_at_rest(app)


async def test_awaited_again_and_by_others_it_says_the_same():
    app = Pynenc()

    @app.task
    async def fail():
        raise LookupError("why")

    invocation = fail()
    errors = await asyncio.gather(*(invocation for _ in range(3)), return_exceptions=True)
    for _ in range(2):
        with pytest.raises(LookupError) as caught:
            await invocation
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 1


async def test_the_traceback_shows_the_body_and_does_not_grow_with_each_await():
    app = Pynenc()

    @app.task
    async def fail():
        raise LookupError("why")

    invocation = fail()
    lengths = []
    for _ in range(3):
        try:
            await invocation
        except LookupError as error:
            names, frame = [], error.__traceback__
            while frame is not None:
                names.append(frame.tb_frame.f_code.co_name)
                frame = frame.tb_next
            lengths.append(len(names))
            assert names[-1] == "fail"
    assert len(set(lengths)) == 1


async def test_after_the_end_nothing_that_is_left_of_the_body_changes_it():
    app = Pynenc()

    @app.task
    async def child():
        await asyncio.sleep(0)

    @app.task
    async def parent():
        handle = child()

        async def stray():
            await handle
            await handle
            await child()

        task = asyncio.create_task(stray())
        await asyncio.sleep(0)
        return task

    invocation = parent()
    task = await invocation
    before = invocation.history
    await task
    assert invocation.history == before
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_the_current_invocation_of_what_a_body_left_behind_is_final():
    app = Pynenc()

    @app.task
    async def parent():
        async def stray():
            await asyncio.sleep(0)
            return current_invocation()

        return asyncio.create_task(stray())

    invocation = parent()
    assert await (await invocation) is invocation
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("how", ["raised", "from what it awaited"])
async def test_a_body_that_ends_in_cancelled_error_by_itself_holds_up_nobody(how):
    app = Pynenc(max_concurrency=1)

    @app.task
    async def cancelled(n):
        await asyncio.sleep(0)
        if how == "raised":
            raise asyncio.CancelledError
        elsewhere = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(elsewhere.cancel)
        await elsewhere

    @app.task
    async def work():
        return asyncio.get_running_loop().time()

    handles = [cancelled(n) for n in range(10)]
    assert await work() == 0
    assert {handle.status for handle in handles} == {S.CANCELLED}
