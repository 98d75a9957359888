"""Bodies in worker processes: what goes in, what comes out, who runs them."""

import asyncio
import datetime as dt
import os
import threading

import process_bodies as bodies
import pytest
from helpers import S, assert_at_rest, assert_lawful, statuses
from process_helpers import in_process, new_gate, open_gate, running, workers_of, written

from pynenc_async import (
    AppNotStartedError,
    InvalidTaskOptionsError,
    Pynenc,
    RunsIn,
    SerializationError,
    TaskDefinitionError,
    current_invocation,
)
from pynenc_async.clock import SimulatedLoop


@pytest.mark.slow
async def test_bodies_of_every_kind_run_in_a_process_that_stays_warm():
    async with Pynenc(max_processes=2) as app:
        pid, pid_in_loop = in_process(app, bodies.pid), in_process(app, bodies.pid_in_loop)
        first = await pid()
        assert first != os.getpid()
        assert [await pid(), await pid_in_loop(), await pid_in_loop()] == [first] * 3
        assert await in_process(app, bodies.leave_a_task)() is None
        assert await pid_in_loop() == first
        items = [item async for item in in_process(app, bodies.count)(100).stream()]
        assert items == list(range(100))
        await assert_at_rest(app)
    assert workers_of(app) == []


@pytest.mark.slow
async def test_arguments_and_results_are_decoded_to_the_annotations():
    placed = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    async with Pynenc(max_processes=1) as app:
        order = await in_process(app, bodies.postpone)(bodies.Order(1, placed), dt.timedelta(days=1))
        assert order == bodies.Order(2, placed + dt.timedelta(days=1))
        assert await in_process(app, bodies.add)(1, b=2) == 3
        assert await in_process(app, bodies.untyped)(1, "a", x=[None]) == [[1, "a"], {"x": [None]}]
        big = "x" * 3_000_000
        assert await in_process(app, bodies.untyped)(big) == [[big], {}]


@pytest.mark.slow
async def test_what_cannot_be_encoded_or_decoded_is_named():
    async with Pynenc(max_processes=1) as app:
        with pytest.raises(SerializationError, match=r"arguments\.a: .*object.*process_bodies\.add") as caught:
            await in_process(app, bodies.add)(object())
        assert caught.value.field == "arguments.a"
        with pytest.raises(SerializationError, match="result"):
            await in_process(app, bodies.unencodable)()
        with pytest.raises(SerializationError, match=r"result.*int"):
            await in_process(app, bodies.wrongly_annotated)()
        with pytest.raises(SerializationError, match=r"arguments\.a"):
            await in_process(app, bodies.add)("text")
        await assert_at_rest(app)


@pytest.mark.slow
async def test_exceptions_come_back_as_they_are():
    async with Pynenc(max_processes=1) as app:
        with pytest.raises(bodies.BodyError) as caught:
            await in_process(app, bodies.fail)("why")
        assert caught.value.args == ("why", 7)
        assert isinstance(caught.value.__cause__, KeyError)
        (trace,) = caught.value.__notes__
        assert "process_bodies.py" in trace
        assert "pynenc_async" not in trace
        raise_kind = in_process(app, bodies.raise_kind)
        for name, kind in (("exit", SystemExit), ("interrupt", KeyboardInterrupt), ("generator", GeneratorExit)):
            invocation = raise_kind(name)
            assert await invocation.wait()
            assert invocation.status is S.FAILED
            assert isinstance(invocation.exception(), kind)
        await assert_at_rest(app)


async def test_what_ends_an_iteration_does_not_end_that_of_a_group():
    async with Pynenc(max_processes=1) as app:
        raise_kind = in_process(app, bodies.raise_kind)
        group = raise_kind.parallelize([("generator",), ("iteration",), ("async iteration",)])
        iterator = group.in_order()
        for kind in (GeneratorExit, StopIteration, StopAsyncIteration):
            with pytest.raises(RuntimeError) as caught:
                await anext(iterator)
            assert isinstance(caught.value.__cause__, kind)
        with pytest.raises(RuntimeError, match="StopIteration"):
            _ = group.invocations[1].result
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)
        await assert_at_rest(app)


@pytest.mark.slow
async def test_the_history_says_when_the_body_began():
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.add, delay=0.001)(1)
        assert await invocation == 2
        assert statuses(invocation) == [S.SCHEDULED, S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]
        assert_lawful(invocation)


@pytest.mark.slow
async def test_a_body_is_pending_until_it_begins(tmp_path):
    gate = new_gate(tmp_path / "gate")
    async with Pynenc(max_processes=1) as app:
        await in_process(app, bodies.nothing)()
        invocation, after = (
            in_process(app, bodies.meet)(str(gate), str(tmp_path / "here")),
            in_process(app, bodies.pid)(),
        )
        await running(invocation)
        await written(tmp_path / "here")
        assert after.status in (S.REGISTERED, S.PENDING)
        assert app.statistics().running_in_processes in (1, 2)
        open_gate(gate)
        assert await invocation == await after


@pytest.mark.slow
@pytest.mark.virtual
async def test_retries_run_in_a_process_as_well(tmp_path):
    async with Pynenc(max_processes=1) as app:
        loop = asyncio.get_running_loop()
        invocation = in_process(app, bodies.fail_until, max_retries=3)(str(tmp_path / "count"), 2)
        began = loop.time()
        assert await invocation == 3
        assert loop.time() - began == pytest.approx(120)
        assert invocation.num_retries == 2
        assert_lawful(invocation)


@pytest.mark.slow
async def test_the_current_invocation_is_known_in_a_worker():
    bodies.REQUEST.set("mine")
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.describe_me)(5)
        assert await invocation == {
            "invocation_id": invocation.invocation_id,
            "task_id": "process_bodies.describe_me",
            "a": 5,
            "retries": 0,
            "stop": False,
            "request": "none",
            "main_thread": True,
        }


@pytest.mark.slow
async def test_progress_is_seen_while_the_body_runs_and_the_last_report_is_never_lost(tmp_path):
    gate = new_gate(tmp_path / "gate")
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.progress_then_wait)(str(gate))
        seen = []
        async for update in invocation.updates():
            seen.append(update.message)
            if update.message == "more":
                open_gate(gate)
        assert seen in (["half", "more"], ["more"])
        many = in_process(app, bodies.progress)(20_000)
        versions = [update.done async for update in many.updates()]
        assert versions[-1] == 20_000
        assert versions == sorted(versions)
        assert len(versions) < 2_000, "reports are coalesced"


@pytest.mark.slow
@pytest.mark.parametrize("func", [bodies.call_another, bodies.call_another_in_loop])
async def test_a_call_of_a_task_in_a_worker_says_what_to_do(func):
    async with Pynenc(max_processes=1) as app:
        with pytest.raises(AppNotStartedError, match=r"does not run in this worker process.*return"):
            await in_process(app, func)(1)


@pytest.mark.slow
async def test_limits_of_slots_and_of_processes_hold_together():
    async with Pynenc(max_processes=2) as app:
        spans = await in_process(app, bodies.span).parallelize([(0.01,)] * 12)
        assert most_at_once(spans) <= 2
        assert len(workers_of(app)) <= 2
    async with Pynenc(max_processes=2, max_concurrency=1) as app:
        assert most_at_once(await in_process(app, bodies.span).parallelize([(0.01,)] * 6)) == 1
        await assert_at_rest(app)


def most_at_once(spans):
    return max(sum(began <= moment < ended for began, ended in spans) for moment, _ in spans)


@pytest.mark.slow
async def test_a_long_body_keeps_nobody_waiting_while_another_worker_is_idle(tmp_path):
    """What was sent ahead to a worker is taken back from it."""
    gate = new_gate(tmp_path / "gate")
    async with Pynenc(max_processes=2) as app:
        nothing = in_process(app, bodies.nothing)
        await nothing.parallelize([()] * 100)  # so that bodies are held to be short
        before = [nothing() for _ in range(20)]
        long = in_process(app, bodies.meet)(str(gate), str(tmp_path / "here"))
        after = [nothing() for _ in range(40)]
        for invocation in (*before, *after):
            await invocation
        await running(long)
        open_gate(gate)
        await long
        await assert_at_rest(app)


@pytest.mark.slow
async def test_a_run_of_many_bodies_gives_all_their_results():
    async with Pynenc(max_processes=2) as app:
        assert await in_process(app, bodies.add).parallelize([(n,) for n in range(500)]) == [n + 1 for n in range(500)]
        await assert_at_rest(app)


@pytest.mark.slow
async def test_an_app_serves_one_run_after_the_other():
    app = Pynenc(max_processes=1)
    pid = in_process(app, bodies.pid)
    async with app:
        first = await pid()
    async with app:
        assert await pid() != first


@pytest.mark.slow
def test_an_app_outlives_its_loop_and_no_worker_does():
    app = Pynenc(max_processes=1)
    pid = in_process(app, bodies.pid)

    async def main():
        return await pid()

    first, second = asyncio.run(main()), asyncio.run(main())
    assert first != second
    asyncio.run(app.shutdown())


# -- where else bodies run ---------------------------------------------------------------------------------------------


async def test_a_def_may_run_in_the_loop():
    app = Pynenc()

    @app.task(runs_in="loop")
    def where():
        return threading.get_ident(), current_invocation().invocation_id, asyncio.get_running_loop()

    invocation = where()
    assert await invocation == (threading.get_ident(), invocation.invocation_id, asyncio.get_running_loop())

    @app.task(runs_in=RunsIn.LOOP)
    def wrong():
        return asyncio.sleep(0)

    with pytest.raises(TypeError, match="make it async def"):
        await wrong()


def test_what_cannot_run_where_it_is_told_to_is_refused_with_the_fix():
    app = Pynenc()

    async def nested():
        pass

    with pytest.raises(TaskDefinitionError, match=r"nested.*level of a module"):
        in_process(app, nested)
    with pytest.raises(TaskDefinitionError, match="no name"):
        in_process(app, lambda: 1)
    with pytest.raises(InvalidTaskOptionsError, match=r"'runs_in'.*for a def"):
        app.task(runs_in="thread")(bodies.pid_in_loop)
    with pytest.raises(InvalidTaskOptionsError, match="one of 'loop', 'thread', 'process', 'interpreter'"):
        app.task(runs_in="cloud")(bodies.pid)
    with pytest.raises(InvalidTaskOptionsError, match="workflow cannot call tasks"):
        app.task(runs_in="process", workflow=True)(bodies.pid)
    with pytest.raises(TaskDefinitionError, match="nested"):
        app.task(nested).with_options(runs_in="process")


async def test_a_function_that_its_module_has_lost_is_refused():
    async with Pynenc() as app:
        hidden = type(bodies.pid)(bodies.pid.__code__, bodies.pid.__globals__, "hidden")
        hidden.__qualname__ = "hidden"
        with pytest.raises(TaskDefinitionError, match=r"no other process can find it.*name of its function"):
            await in_process(app, hidden, max_retries=3)()
        await assert_at_rest(app)


def test_a_synchronous_app_runs_everything_inline():
    app = Pynenc("sync://")

    @app.task(runs_in="process")
    def where():
        return os.getpid()

    assert where().result == os.getpid()


@pytest.mark.slow
@pytest.mark.virtual
async def test_simulated_time_stands_still_while_a_process_works_and_moves_when_it_rests():
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    async with Pynenc(max_processes=1) as app:
        span = in_process(app, bodies.span)
        began = loop.time()
        await span(0.05)
        assert loop.time() == began
        await asyncio.sleep(3_600)
        assert loop.time() == began + 3_600
        await span(0)
        assert loop.time() == began + 3_600


async def test_what_a_worker_tells_of_bodies_that_it_does_not_have_harms_no_others(caplog):
    async with Pynenc(max_processes=1) as app:
        liar = in_process(app, bodies.tell_of_others)()
        add = [in_process(app, bodies.add)(n) for n in range(5)]
        assert await liar is None
        assert [await one for one in add] == [1, 2, 3, 4, 5]
        assert "taking in what pynenc-process-1 has told failed" in caplog.text
        await assert_at_rest(app)
