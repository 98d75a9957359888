"""Whatever dies, and whenever: what was accepted reaches a final status, by lawful histories, and no result is lost."""

import asyncio
from collections import Counter
from contextlib import suppress

import pytest
from durable_world import World
from helpers import S, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import RetryError, StoreError, current_invocation
from pynenc_async.status import StatusRecord, advance
from pynenc_async.telemetry import logger
from pynenc_async.testing import VirtualLoop

logger.addFilter(lambda entry: "test_durable_crashes" not in getattr(entry, "task_id", ""))


class CrashError(Exception):
    """The process dies."""


class Process:
    """One incarnation: an app in a loop of its own that dies at the n-th call of its store, before or after it is done."""

    def __init__(self, world, *, seed=0, dies_at=None, dies_after=False):
        self.world, self.seed, self.dies_at, self.dies_after = world, seed, dies_at, dies_after
        self.calls = 0
        self.died = None

    def run(self, make, program):
        async def main():
            self.died = asyncio.get_running_loop().create_future()
            app = self.world.app(before=self.before, after=self.after, max_concurrency=4, store_window=6)
            try:
                await app.start()
            except StoreError:
                raise CrashError from None
            work = asyncio.ensure_future(until_store_dies(program(app, make(app))))
            await asyncio.wait([work, self.died], return_when=asyncio.FIRST_COMPLETED)
            if not self.died.done():
                await work
                await app.shutdown()
                return True
            raise CrashError

        with asyncio.Runner(loop_factory=lambda: VirtualLoop(seed=self.seed)) as runner, suppress(CrashError):
            return runner.run(main())
        return False

    def before(self, _name, _changes):
        self.calls += 1
        if self.calls == self.dies_at and not self.dies_after:
            self.die()

    def after(self, _name, _changes):
        if self.calls == self.dies_at and self.dies_after:
            self.die()

    def die(self):
        self.world.stores[-1].kill()
        if not self.died.done():
            self.died.set_result(None)


async def until_store_dies(work):
    with suppress(StoreError):
        await work


def lawful(world, invocation_id):
    current: StatusRecord | None = None
    for step in world.hub.tables.histories[invocation_id]:
        current = advance(current, step.status, runner_id=step.runner_id, attempt=step.attempt)
    return current.status


def assert_all_is_well(world):
    for row in world.rows():
        assert row.status.is_final(), (row.status, world.path(row.invocation_id))
        assert lawful(world, row.invocation_id) is row.status
        assert sum(status.is_final() for status in world.path(row.invocation_id)) == 1


def tasks_of(ran):
    def make(app):
        @app.task
        async def leaf(x: int) -> int:
            ran[current_invocation().invocation_id] += 1
            await asyncio.sleep(x % 3)
            return x

        @app.task(max_retries=2, retry_delay=1)
        async def flaky(x: int) -> int:
            if current_invocation().num_retries < x % 3:
                raise RetryError
            return x

        @app.task
        async def parent(x: int) -> int:
            return sum([await leaf(x), await leaf(x + 1)])

        @app.task(running_concurrency="keys", key_arguments="x", running_limit=1)
        async def limited(x: int) -> int:
            await asyncio.sleep(0.5)
            return x

        @app.task
        def threaded(x: int) -> int:
            return x

        return leaf, flaky, parent, limited, threaded

    return make


async def submit_some(app, tasks):
    handles = [tasks[x % len(tasks)](x // 3) for x in range(15)]
    handles.append(tasks[0].with_options(delay=5, priority=2)(1))
    for handle in handles:
        await handle.accepted()
    for handle in handles:
        await handle.wait()


async def wait_for_rest(app, tasks):
    while True:
        page = await app.find(status=[status for status in S if not status.is_final()], limit=1_000)
        if not page.invocations:
            return
        for handle in page.invocations:
            await handle.wait()


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(
    deaths=st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_a_process_that_dies_at_any_call_of_its_store_loses_nothing(deaths, seed):
    world, ran = World(), Counter()
    for number, (dies_at, dies_after) in enumerate(deaths):
        process = Process(world, seed=seed + number, dies_at=dies_at, dies_after=dies_after)
        process.run(tasks_of(ran), submit_some)
    assert Process(world, seed=seed).run(tasks_of(ran), wait_for_rest)
    assert_all_is_well(world)
    poisoned = [row for row in world.rows() if row.status is S.FAILED]
    assert all(row.crashes >= row.max_crashes for row in poisoned)


def test_an_interrupted_body_runs_again_with_the_next_attempt():
    world, ran = World(), Counter()

    async def die_while_it_runs(app, tasks):
        handle = tasks[0](2)
        while handle.status is not S.RUNNING:
            await asyncio.sleep(0)
        process.die()
        await asyncio.sleep(100)

    process = Process(world)
    process.run(tasks_of(ran), die_while_it_runs)
    assert Process(world).run(tasks_of(ran), wait_for_rest)
    (row,) = world.rows()
    assert world.path(row.invocation_id) == [
        S.REGISTERED, S.PENDING, S.RUNNING, S.RUNNING_RECOVERY, S.REROUTED, S.PENDING, S.RUNNING, S.SUCCESS,
    ]  # fmt: skip
    assert (row.attempt, row.crashes, row.num_retries) == (2, 1, 0)
    assert_all_is_well(world)


@pytest.mark.parametrize("most", [2, 3, 4])
def test_a_poison_body_fails_after_so_many_crashes_and_takes_no_neighbour_with_it(most):
    world = World()

    def make(app):
        @app.task(max_crashes=most)
        async def poison() -> None:
            process.die()
            await asyncio.sleep(1_000)

        @app.task
        async def innocent(x: int) -> int:
            await asyncio.sleep(10)
            return x

        return poison, innocent

    async def submit(app, tasks):
        poison, innocent = tasks
        handles = [innocent(1), poison(), innocent(2)]
        for handle in handles:
            await handle.accepted()
        await asyncio.sleep(1_000)

    process = Process(world)
    process.run(make, submit)
    for _ in range(8):
        process = Process(world)
        if process.run(make, wait_for_rest):
            break
    else:
        pytest.fail("the poison was never given up")
    by_task = {row.task_id.rpartition(".")[2]: row for row in world.rows()}
    assert by_task["poison"].status is S.FAILED
    assert by_task["poison"].crashes == most
    assert by_task["innocent"].status is S.SUCCESS
    assert Counter(row.status for row in world.rows()) == {S.FAILED: 1, S.SUCCESS: 2}
    assert_all_is_well(world)


@pytest.mark.slow
def test_suspects_that_fill_the_window_do_not_keep_the_children_of_one_of_them_out():
    world, times = World(), 0

    def make(app):
        @app.task
        async def child(x: int) -> int:
            await asyncio.sleep(0.1)
            return x

        @app.task
        async def parent(x: int) -> int:
            if times < 2:
                await asyncio.sleep(1_000)
            return sum([await child(number) for number in range(x)])

        return child, parent

    async def submit(app, tasks):
        for _ in range(20):
            await tasks[1](3).accepted()
        await asyncio.sleep(100)
        process.die()

    async def wait_a_while(app, tasks):
        await asyncio.sleep(100)
        process.die()

    process = Process(world)
    process.run(make, submit)
    times = 1
    for _ in range(7):  # four at once have room
        process = Process(world)
        process.run(make, wait_a_while)
    times = 2
    assert Process(world).run(make, wait_for_rest)
    assert_all_is_well(world)


def test_a_loop_that_ends_without_a_shutdown_loses_nothing():
    world = World()
    app = world.app()

    @app.task
    async def slow(x: int) -> int:
        await asyncio.sleep(10)
        return x

    async def begin():
        await app.start()
        handle = slow(3)
        await handle.accepted()
        await asyncio.sleep(1)
        return handle

    async def go_on():
        async with app:
            return await app.get_invocation(handle.invocation_id)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        handle = runner.run(begin())
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(go_on()) == 3
    assert_all_is_well(world)
