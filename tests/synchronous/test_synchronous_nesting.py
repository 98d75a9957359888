"""Sync mode: invocations that submit invocations and wait for them."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import S, statuses

from pynenc_async import CycleDetectedError, InvocationNotFinalError, current_invocation


def test_the_same_code_runs_with_and_without_a_loop(app, obtain):
    @app.task
    async def child(x):
        await asyncio.sleep(0)
        return x + 1

    @app.task
    async def parent(x):
        return await child(x) + sum(await asyncio.gather(child(x + 1), child(x + 2)))

    invocation = parent(1)
    assert obtain(invocation) == 2 + 3 + 4


@pytest.mark.parametrize("child_kind", ["def", "async"])
def test_a_def_body_reads_results_even_when_it_is_awaited_in_a_loop(app, child_kind, obtain):
    @app.task
    async def grandchild(x):
        await asyncio.sleep(0)
        return x * 2

    @app.task
    async def child_async(x):
        return await grandchild(x)

    @app.task
    def child(x):
        return grandchild(x).result

    @app.task
    def parent(x):
        return (child if child_kind == "def" else child_async)(x).result + 1

    invocation = parent(1)
    assert obtain(invocation) == 3


def test_a_body_is_paused_while_it_waits_for_another(app):
    seen = []

    @app.task
    def child():
        seen.append(app.get_invocation(current_invocation().parent_invocation_id).status)

    @app.task
    def parent():
        child().blocking_result()

    @app.task
    async def parent_async():
        await child()

    for invocation in (parent(), parent_async()):
        invocation.blocking_result()
        assert statuses(invocation) == [S.REGISTERED, S.PENDING, S.RUNNING, S.PAUSED, S.RESUMED, S.SUCCESS]
    assert seen == [S.PAUSED, S.PAUSED]


async def test_a_body_may_end_while_a_task_it_left_behind_still_waits(app):
    go, reached = asyncio.Event(), asyncio.Event()
    left = []

    @app.task
    async def child():
        reached.set()
        await go.wait()

    @app.task
    async def parent():
        left.append(asyncio.ensure_future(child()))
        await reached.wait()

    invocation = parent()
    await invocation
    assert statuses(invocation)[-3:] == [S.PAUSED, S.RESUMED, S.SUCCESS]
    go.set()
    await left[0]
    assert invocation.status is S.SUCCESS


def test_current_invocation_and_parent(app):
    @app.task
    def child():
        return current_invocation()

    @app.task
    async def parent():
        invocation = child()
        return current_invocation(), invocation, await invocation

    invocation = parent()
    own, submitted, childs_own = invocation.result
    assert own is invocation
    assert submitted is childs_own
    assert submitted.parent_invocation_id == invocation.invocation_id
    assert invocation.parent_invocation_id is None
    assert current_invocation() is None


def test_the_context_of_the_submitter_is_seen_and_not_changed(app):
    variable = contextvars.ContextVar("variable", default="outside")

    @app.task
    def change():
        variable.set(variable.get() + " changed")
        return variable.get()

    first = change()
    variable.set("second")
    assert (first.result, change().result) == ("outside changed", "second changed")
    assert variable.get() == "second"


def test_a_call_that_repeats_an_ancestor_raises(app, obtain):
    @app.task
    def recurse(x):
        return recurse(x).result

    with pytest.raises(CycleDetectedError, match="recurse"):
        obtain(recurse(1))


def test_recursion_with_other_arguments_is_fine(app):
    @app.task
    def factorial(n):
        return 1 if n == 0 else n * factorial(n - 1).result

    @app.task
    async def factorial_async(n):
        return 1 if n == 0 else n * await factorial_async(n - 1)

    assert factorial(20).result == factorial_async(20).result == 2432902008176640000


def test_cycle_detection_can_be_switched_off(app):
    depth = []

    @app.task(detect_cycles=False)
    def recurse():
        depth.append(1)
        return len(depth) if len(depth) == 3 else recurse().result

    assert recurse().result == 3


@pytest.mark.parametrize("kind", ["def", "async"])
def test_a_body_that_waits_for_itself_raises(app, kind, obtain):
    @app.task
    def own():
        return current_invocation().result

    @app.task
    async def own_async():
        return await current_invocation()

    with pytest.raises(CycleDetectedError):
        obtain((own if kind == "def" else own_async)())


def test_a_body_that_reads_its_own_result_does_not_hang_without_cycle_detection(app):
    @app.task(detect_cycles=False)
    def own():
        return current_invocation().result

    with pytest.raises(InvocationNotFinalError):
        own().blocking_result()


async def test_a_ring_of_waiters_raises(app):
    ring = {}

    @app.task
    async def first():
        return await ring["second"]

    @app.task
    async def second():
        return await ring["first"]

    ring.update(first=first(), second=second())
    with pytest.raises(CycleDetectedError, match="ring"):
        await ring["first"]


def test_a_ring_over_two_threads_raises(app):
    ring, both_run = {}, threading.Barrier(2)

    @app.task
    def first():
        ring["first"] = current_invocation()
        both_run.wait()
        return ring["second"].result

    @app.task
    def second():
        ring["second"] = current_invocation()
        both_run.wait()
        return ring["first"].result

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(lambda task: task().exception(), task) for task in (first, second)]
    assert [type(future.result()) for future in futures] == [CycleDetectedError] * 2


async def test_a_def_body_that_would_wait_for_the_loop_it_holds_up_raises(app):
    running, go = asyncio.Event(), asyncio.Event()

    @app.task
    async def neighbour():
        running.set()
        await go.wait()

    @app.task
    async def awaits(invocation):
        await invocation

    @app.task
    def reads(invocation):
        return invocation.result

    @app.task
    def reads_in_another_loop(invocation):
        return awaits(invocation).result

    invocation = neighbour()
    waiter = asyncio.ensure_future(invocation)
    await running.wait()
    for task in (reads, reads_in_another_loop):
        with pytest.raises(InvocationNotFinalError, match="cannot go on"):
            await task(invocation)
    go.set()
    await waiter


def test_threads_that_hold_up_one_another_raise(app):
    both, neighbours = threading.Barrier(2), {}

    @app.task
    async def neighbour(running, gate):
        running.set()
        await gate.wait()

    @app.task
    async def awaits(invocation):
        await invocation

    @app.task
    def reads(invocation):
        both.wait()
        return awaits(invocation).result

    async def main(mine, other):
        running, gate = asyncio.Event(), asyncio.Event()
        neighbours[mine] = neighbour(running, gate)
        waiter = asyncio.ensure_future(neighbours[mine])
        await running.wait()
        both.wait()
        reader = reads(neighbours[other])
        await reader.wait()
        gate.set()
        await waiter
        return reader.exception()

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(asyncio.run, main(*names)) for names in (("left", "right"), ("right", "left"))]
        errors = [future.result() for future in futures]
    assert {InvocationNotFinalError} <= {type(error) for error in errors} <= {InvocationNotFinalError, type(None)}
