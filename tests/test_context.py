"""Where am I: the current invocation, the submitter's context, the logger that knows both."""

import asyncio
import contextvars
import logging

import pytest
from helpers import Gate

from pynenc_async import Pynenc, current_invocation
from pynenc_async.execution.stream import stream_of

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="none")


async def test_outside_of_a_body_there_is_no_current_invocation():
    app = Pynenc()

    @app.task
    async def work():
        return 1

    assert current_invocation() is None
    await work()
    assert current_invocation() is None
    await work.parallelize([()] * 3)
    assert current_invocation() is None


@pytest.mark.parametrize("in_place", [True, False], ids=["awaited", "queued"])
async def test_a_body_knows_its_invocation(in_place):
    app = Pynenc()

    @app.task
    async def work():
        before = current_invocation()
        await asyncio.sleep(0)
        return before, current_invocation()

    invocation = work()
    if not in_place:
        await asyncio.sleep(0)
    before, after = await invocation
    assert before is invocation
    assert after is invocation


async def test_a_body_in_a_thread_knows_its_invocation():
    app = Pynenc()

    @app.task
    def work():
        return current_invocation()

    invocation = work()
    assert await invocation is invocation


async def test_an_async_generator_knows_its_invocation():
    app = Pynenc()

    @app.task
    async def count():
        yield current_invocation()
        await asyncio.sleep(0)
        yield current_invocation()

    invocation = count()
    assert [item async for item in invocation.stream()] == [invocation, invocation]


async def test_tasks_callbacks_and_threads_of_a_body_know_its_invocation():
    app = Pynenc()

    @app.task
    async def work():
        called = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: called.set_result(current_invocation()))

        async def look():
            return current_invocation()

        return await asyncio.gather(asyncio.create_task(look()), asyncio.to_thread(current_invocation), called)

    invocation = work()
    assert await invocation == [invocation] * 3


async def test_parents_and_children_know_each_other_only_by_id():
    app = Pynenc()

    @app.task
    async def child(n):
        return current_invocation()

    @app.task
    async def parent():
        own = current_invocation()
        children = [child(n) for n in range(3)]
        results = [await one for one in children]
        assert results == children
        assert current_invocation() is own
        return children

    invocation = parent()
    assert invocation.parent_invocation_id is None
    for one in await invocation:
        assert one.parent_invocation_id == invocation.invocation_id


async def test_what_a_task_of_the_body_submits_is_a_child_too():
    app = Pynenc()

    @app.task
    async def child():
        pass

    @app.task
    async def parent():
        async def submit():
            return child()

        return [await asyncio.create_task(submit()), await asyncio.to_thread(child)]

    invocation = parent()
    for one in await invocation:
        assert one.parent_invocation_id == invocation.invocation_id
        await one


@pytest.mark.parametrize("kind", ["loop", "thread", "stream"])
async def test_a_body_sees_the_context_of_its_submitter(kind):
    app = Pynenc()

    async def in_loop():
        return REQUEST.get()

    def in_thread():
        return REQUEST.get()

    async def in_stream():
        yield REQUEST.get()

    task = app.task({"loop": in_loop, "thread": in_thread, "stream": in_stream}[kind])
    token = REQUEST.set("r-1")
    invocation = task()
    REQUEST.reset(token)
    seen = [item async for item in invocation.stream()] if kind == "stream" else [await invocation]
    assert seen == ["r-1"]
    assert REQUEST.get() == "none"


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_what_a_body_sets_is_its_own(kind):
    app = Pynenc()

    def body(n):
        seen = REQUEST.get()
        REQUEST.set(f"body {n}")
        return seen

    async def async_body(n):
        seen = REQUEST.get()
        REQUEST.set(f"body {n}")
        await asyncio.sleep(0)
        assert REQUEST.get() == f"body {n}"
        return seen

    task = app.task(async_body if kind == "loop" else body)
    assert await task.parallelize([(n,) for n in range(5)]) == ["none"] * 5
    assert [await task(n) for n in range(3)] == ["none"] * 3
    assert REQUEST.get() == "none"


async def test_a_retry_starts_from_the_context_of_the_submitter():
    app = Pynenc()
    seen = []

    @app.task(max_retries=2)
    async def work():
        seen.append(REQUEST.get())
        REQUEST.set("changed by the attempt before")
        if len(seen) < 3:
            raise ValueError

    await work()
    assert seen == ["none"] * 3


async def test_a_child_sees_what_its_parent_has_set():
    app = Pynenc()

    @app.task
    async def child():
        return REQUEST.get()

    @app.task
    async def parent(n):
        REQUEST.set(f"parent {n}")
        return await child()

    assert await parent.parallelize([(1,), (2,)]) == ["parent 1", "parent 2"]


async def test_a_context_is_let_go_when_its_invocation_has_ended():
    app = Pynenc()

    @app.task
    async def work():
        yield 1

    invocation = work()
    await invocation
    assert invocation._context is None
    assert stream_of(invocation).closed


async def test_the_logger_carries_the_ids_as_attributes(caplog):
    app = Pynenc()
    logs = logging.getLogger("pynenc_async")

    @app.task
    async def work():
        work.logger.info("hello %s", "there", extra={"mine": 1})

    with caplog.at_level(logging.INFO, logs.name):
        invocation = work()
        await invocation
        work.logger.warning("outside")
    inside, outside = (record for record in caplog.records if record.name.endswith(work.task_id))
    assert inside.task_id == outside.task_id == work.task_id
    assert inside.invocation_id == invocation.invocation_id
    assert inside.mine == 1
    assert "hello there" in inside.getMessage()
    assert getattr(outside, "invocation_id", None) is None


async def test_the_logger_takes_any_id_and_any_message(caplog):
    app = Pynenc()

    @app.task
    async def work():
        work.logger.error("100%")
        work.logger.error({"not": "text"})
        work.logger.error("%d %%", 5)

    with caplog.at_level(logging.INFO, "pynenc_async"):
        await work()
    assert [record.getMessage().rpartition("] ")[2] for record in caplog.records] == ["100%", "{'not': 'text'}", "5 %"]


async def test_the_logger_of_one_task_names_the_invocation_of_another_that_uses_it(caplog):
    app = Pynenc()

    @app.task
    async def helper():
        pass

    @app.task
    async def work():
        helper.logger.error("from work")

    with caplog.at_level(logging.INFO, "pynenc_async"):
        invocation = work()
        await invocation
    (record,) = caplog.records
    assert (record.task_id, record.invocation_id) == (helper.task_id, invocation.invocation_id)


async def test_two_apps_share_no_parents():
    one, other = Pynenc(), Pynenc()

    @other.task
    async def foreign():
        return current_invocation().parent_invocation_id

    @one.task
    async def work():
        return await foreign()

    assert await work() is None


async def test_siblings_that_run_at_once_do_not_mix_up_who_they_are():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def work():
        mine = current_invocation()
        await gate.wait()
        return mine is current_invocation(), mine

    invocations = [work() for _ in range(10)]
    await asyncio.sleep(0)
    gate.open()
    assert [await one for one in invocations] == [(True, one) for one in invocations]
