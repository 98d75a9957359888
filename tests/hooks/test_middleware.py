"""Middleware: runs around every attempt, sees what runs, and decides what comes of it."""

import asyncio
import contextvars
import gc
import weakref

import pytest
from helpers import USUAL, S, assert_at_rest, assert_lawful, statuses

from pynenc_async import (
    InvocationCancelledError,
    MiddlewareError,
    Pynenc,
    RefusedError,
    RetryError,
    current_invocation,
)

KINDS = pytest.mark.parametrize("kind", ["coroutine", "suspending", "thread", "stream"])
ROLE = contextvars.ContextVar("ROLE", default="nobody")


def make(app, kind, body, **options):
    """Register `body`, a plain function, as a task of that kind; its result is the value or the only item."""

    async def coroutine(*args):
        return body(*args)

    async def suspending(*args):
        await asyncio.sleep(0)
        return body(*args)

    def thread(*args):
        return body(*args)

    async def stream(*args):
        yield body(*args)

    return app.task(**options)(
        {"coroutine": coroutine, "suspending": suspending, "thread": thread, "stream": stream}[kind]
    )


async def outcome(task, *args):
    """Await an invocation of any kind; return what it gives, as one value."""
    invocation = task(*args)
    value = await invocation
    if task.function.kind == "stream":
        [value] = [item async for item in invocation.stream()]
    return value


def record_calls(app, calls, name, **options):
    async def middleware(invocation, call_next):
        calls.append(f"{name} in")
        try:
            return await call_next()
        finally:
            calls.append(f"{name} out")

    return app.middleware(**options)(middleware)


@KINDS
async def test_the_first_one_is_the_outermost_and_all_run_around_the_body(kind):
    app, calls = Pynenc(), []
    record_calls(app, calls, "a")
    record_calls(app, calls, "b")
    task = make(app, kind, lambda n: calls.append("body") or n + 1)
    record_calls(app, calls, "c")
    assert await outcome(task, 1) == 2
    assert calls == ["a in", "b in", "c in", "body", "c out", "b out", "a out"]
    await assert_at_rest(app)


@KINDS
async def test_it_sees_the_invocation_its_task_and_arguments(kind):
    app, seen = Pynenc(), []

    @app.middleware
    async def look(invocation, call_next):
        seen.append((invocation, invocation.task.task_id, invocation.arguments.kwargs["args"], invocation.status))
        seen.append(current_invocation())
        return await call_next()

    task = make(app, kind, lambda n: seen.append(current_invocation()))
    invocation = task(5)
    await invocation
    assert seen == [(invocation, task.task_id, (5,), S.RUNNING), invocation, invocation]
    assert statuses(invocation)[:3] == USUAL
    assert_lawful(invocation)


@KINDS
async def test_it_runs_around_every_attempt_and_may_ask_for_another(kind):
    app, attempts = Pynenc(), []

    @app.middleware
    async def count(invocation, call_next):
        attempts.append(invocation.num_retries)
        await call_next()
        if invocation.num_retries < 2:
            raise RetryError("once more")

    task = make(app, kind, lambda: 7, max_retries=5)
    invocation = task()
    await invocation
    assert attempts == [0, 1, 2]
    assert statuses(invocation)[3:] == [S.RETRY, S.PENDING, S.RUNNING, S.RETRY, S.PENDING, S.RUNNING, S.SUCCESS]
    assert_lawful(invocation)
    await assert_at_rest(app)


@KINDS
async def test_what_the_body_raises_passes_through_as_the_very_same_object(kind):
    app, error = Pynenc(), LookupError("mine")

    @app.middleware
    async def measure(invocation, call_next):
        await call_next()

    @app.middleware
    async def swallow(invocation, call_next):
        with pytest.raises(LookupError) as found:
            await call_next()
        assert found.value is error

    def fail():
        raise error

    task = make(app, kind, fail)
    invocation = task()
    with pytest.raises(LookupError) as caught:
        await invocation
    assert caught.value is error
    assert caught.traceback[-1].name == "fail"
    assert task.function.drive is not None, "neither of them is broken"
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ["coroutine", "suspending", "thread"])
async def test_the_result_may_be_replaced_and_none_leaves_it_as_it_is(kind):
    app = Pynenc()

    @app.middleware
    async def measure(invocation, call_next):
        await call_next()

    @app.middleware
    async def double(invocation, call_next):
        return 2 * await call_next()

    task = make(app, kind, lambda n: n)
    assert await task(4) == 8


async def test_an_answer_may_be_none():
    app = Pynenc()

    @app.middleware
    async def nothing(invocation, call_next):
        await call_next()
        return call_next.answer(None)

    task = make(app, "coroutine", lambda: 1)
    assert await task() is None
    assert task.function.drive is not None


@pytest.mark.parametrize("kind", ["coroutine", "suspending", "thread"])
async def test_work_may_be_answered_without_running_the_body(kind):
    app, ran = Pynenc(), []
    cache = {1: "one", 2: None}

    @app.middleware
    async def cached(invocation, call_next):
        [n] = invocation.arguments.kwargs["args"]
        if n in cache:
            return call_next.answer(cache[n])
        return await call_next()

    task = make(app, kind, lambda n: ran.append(n) or "ran")
    assert [await task(1), await task(2), await task(3)] == ["one", None, "ran"]
    assert ran == [3]
    await assert_at_rest(app)


@KINDS
async def test_work_may_be_refused_and_a_refusal_is_not_retried(kind):
    app, ran = Pynenc(), []

    class NotOnSundaysError(RefusedError):
        pass

    @app.middleware
    async def refuse(invocation, call_next):
        raise NotOnSundaysError

    task = make(app, kind, lambda: ran.append(1), max_retries=3)
    invocation = task()
    with pytest.raises(NotOnSundaysError):
        await invocation
    assert not ran
    assert statuses(invocation) == [*USUAL, S.FAILED]
    with pytest.raises(NotOnSundaysError):
        await task()
    await assert_at_rest(app)


@KINDS
async def test_an_error_may_be_translated_and_a_failure_answered(kind):
    app = Pynenc()

    class ServiceError(Exception):
        pass

    @app.middleware
    async def fall_back(invocation, call_next):
        try:
            return await call_next()
        except ServiceError:
            if invocation.arguments.kwargs["args"] == (1,):
                return call_next.answer("instead")
            raise

    @app.middleware
    async def translate(invocation, call_next):
        try:
            return await call_next()
        except LookupError as error:
            raise ServiceError from error

    def fail(n):
        raise LookupError

    task = make(app, kind, fail)
    assert await task(1) == "instead"
    with pytest.raises(ServiceError) as caught:
        await task(2)
    assert isinstance(caught.value.__cause__, LookupError)
    await assert_at_rest(app)


@KINDS
async def test_a_task_group_around_the_body_is_no_fault(kind):
    app, error = Pynenc(), LookupError()

    @app.middleware
    async def grouped(invocation, call_next):
        async with asyncio.TaskGroup():
            return await call_next()

    def fail():
        raise error

    with pytest.raises(ExceptionGroup) as caught:
        await make(app, kind, fail)()
    assert caught.value.exceptions == (error,)


@KINDS
async def test_what_it_sets_in_the_context_is_seen_by_the_body_and_by_nobody_else(kind):
    app, seen = Pynenc(), []

    @app.middleware
    async def act(invocation, call_next):
        token = ROLE.set(f"role {invocation.arguments.kwargs['args'][0]}")
        try:
            return await call_next()
        finally:
            ROLE.reset(token)

    task = make(app, kind, lambda n: seen.append((n, ROLE.get())), max_retries=1)
    for invocation in [task(n) for n in range(5)]:
        await invocation
    assert sorted(seen) == [(n, f"role {n}") for n in range(5)]
    assert ROLE.get() == "nobody"


async def test_it_may_be_restricted_to_some_tasks():
    app, calls = Pynenc(), []
    one = make(app, "coroutine", lambda: 1, priority=3)

    @app.task
    async def two():
        return 2

    record_calls(app, calls, "task", tasks=[one])
    record_calls(app, calls, "id", tasks=[two.task_id])
    record_calls(app, calls, "predicate", tasks=lambda task: task.options.priority == 3)
    record_calls(app, calls, "none", tasks=[])

    @app.task
    async def three():
        return 3

    assert [await one(), await two(), await three()] == [1, 2, 3]
    assert [call for call in calls if call.endswith("in")] == ["task in", "predicate in", "id in"]


async def test_tasks_outside_of_it_pay_nothing_and_those_with_other_options_belong_to_it():
    app, calls = Pynenc(), []
    one = make(app, "coroutine", lambda: 1)
    urgent = one.with_options(priority=5)

    @app.task
    async def two():
        return 2

    record_calls(app, calls, "m", tasks=[one])
    assert (one.function.is_plain, two.function.is_plain) == (False, True)
    await urgent()
    assert calls == ["m in", "m out"]
    invocation = two()
    await invocation
    assert invocation._more is None


async def test_it_may_call_tasks_without_holding_a_slot_meanwhile():
    app = Pynenc(max_concurrency=1, max_threads=1)

    @app.task
    def audit(n):
        return n

    @app.middleware(tasks=lambda task: task is not audit)
    async def audited(invocation, call_next):
        assert await audit(1) == 1
        value = await call_next()
        assert await audit(2) == 2
        return value

    for kind in ("coroutine", "suspending", "thread"):
        invocation = make(app, kind, lambda: 5)()
        assert await invocation == 5
        assert statuses(invocation) == [*USUAL, S.PAUSED, S.RESUMED, S.PAUSED, S.RESUMED, S.SUCCESS]
        assert_lawful(invocation)
    await assert_at_rest(app)


@KINDS
async def test_what_it_submits_is_a_child(kind):
    app, children = Pynenc(), []
    never = asyncio.Event()

    @app.task
    async def endless():
        await never.wait()

    @app.middleware(tasks=lambda task: task is not endless)
    async def spawn(invocation, call_next):
        children.append(endless())
        return await call_next()

    entered = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = make(app, kind, lambda: loop.call_soon_threadsafe(entered.set))
    invocation = task()
    await invocation
    assert children[0].parent_invocation_id == invocation.invocation_id
    await children[0].cancel()


@KINDS
@pytest.mark.parametrize("end", ["returns", "raises", "refused"])
async def test_no_frame_of_a_middleware_keeps_its_invocation_alive(kind, end):
    app = Pynenc(retain_count=0)

    @app.middleware
    async def outer(invocation, call_next):
        await call_next()

    @app.middleware
    async def inner(invocation, call_next):
        try:
            result = await call_next()
        except LookupError as error:
            raise ValueError from error
        if end == "refused":
            raise RefusedError
        return result

    def body():
        if end == "raises":
            raise LookupError
        return 1

    task = make(app, kind, body)
    gc.collect()
    gc.disable()
    try:
        invocation = task()
        try:
            await invocation
        except (ValueError, RefusedError) as error:
            kept = error  # as Sentry, or a test, would
        gone = weakref.ref(invocation)
        del invocation
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()
    assert (end == "returns") == ("kept" not in locals())


@KINDS
async def test_a_thousand_invocations(kind):
    app = Pynenc(max_concurrency=7, max_threads=3)

    @app.middleware
    async def add_one(invocation, call_next):
        value = await call_next()
        return None if value is None else value + 1

    task = make(app, kind, lambda n: n)
    if kind == "stream":
        invocations = [task(n) for n in range(200)]
        assert [[item async for item in one.stream()] for one in invocations] == [[n] for n in range(200)]
        for invocation in invocations:
            await invocation
    else:
        assert await task.parallelize([(n,) for n in range(1_000)]) == [n + 1 for n in range(1_000)]
    await assert_at_rest(app)


async def test_an_invocation_is_cancelled_in_a_middleware():
    app, cleaned = Pynenc(), []

    @app.middleware
    async def linger(invocation, call_next):
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(1)

    for kind in ("coroutine", "thread", "stream"):
        invocation = make(app, kind, lambda: 1)()
        while invocation.status is not S.RUNNING:
            await asyncio.sleep(0)
        await invocation.cancel("enough")
        with pytest.raises(InvocationCancelledError, match="enough"):
            await invocation
        assert_lawful(invocation)
    assert cleaned == [1, 1, 1]
    await assert_at_rest(app)


def test_what_cannot_be_a_middleware_is_refused():
    app = Pynenc()

    def plain(invocation, call_next):
        return call_next()

    with pytest.raises(MiddlewareError, match=r"plain.*async"):
        app.middleware(plain)


async def test_an_object_may_be_a_middleware():
    app, seen = Pynenc(), []

    class Meter:
        async def __call__(self, invocation, call_next):
            seen.append(invocation.invocation_id)
            return await call_next()

    meter = Meter()
    assert app.middleware(meter) is meter
    invocation = make(app, "coroutine", lambda: 1)()
    assert await invocation == 1
    assert seen == [invocation.invocation_id]


def test_in_a_synchronous_app_it_runs_where_the_result_is_read():
    app, calls = Pynenc("sync://"), []
    record_calls(app, calls, "m")

    @app.middleware
    async def twice(invocation, call_next):
        await asyncio.sleep(0)
        return 2 * await call_next()

    for kind in ("coroutine", "suspending", "thread"):
        assert make(app, kind, lambda: 4)().result == 8
    assert calls == ["m in", "m out"] * 3

    @app.task(max_retries=2)
    def fail():
        raise RetryError

    invocation = fail()
    with pytest.raises(RetryError):
        _ = invocation.result
    assert calls == ["m in", "m out"] * 6


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_it_runs_around_what_a_store_keeps(kind, tmp_path):
    app, calls = Pynenc(f"sqlite:///{tmp_path}/jobs.db"), []

    @app.middleware
    async def retried(invocation, call_next):
        calls.append(invocation.num_retries)
        value = await call_next()
        if invocation.num_retries == 0:
            raise RetryError
        return value + 1

    task = make(app, kind, lambda n: n, max_retries=1)
    async with app:
        assert await task(1) == 2
    assert calls == [0, 1]
