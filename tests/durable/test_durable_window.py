"""More than the window: what is put off keeps its order, its parent and its deadline, however it comes back."""

import asyncio

import pytest
from durable_world import World
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import InvocationStatus as S
from pynenc_async.testing import simulate

pytestmark = pytest.mark.virtual


def started_in_order(*, window, slots, latency, waves, pause):
    """Submit in waves, with `pause` seconds between them, and return the numbers in the order in which bodies began."""
    began = []

    async def main():
        app = World().app(store_window=window, max_concurrency=slots, latency=lambda: latency)

        @app.task
        async def work(number):
            began.append(number)
            await asyncio.sleep(0.1)

        async with app:
            submitted = []
            for size in waves:
                submitted += [work(len(submitted) + number) for number in range(size)]
                await asyncio.sleep(pause)
            for invocation in submitted:
                await invocation

    simulate(main)
    return began


@pytest.mark.slow
@settings(max_examples=examples(30), deadline=None)
@given(
    window=st.integers(1, 8),
    slots=st.integers(1, 3),
    latency=st.sampled_from([0.0, 0.001, 0.05, 0.5]),
    waves=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    pause=st.sampled_from([0.0, 0.01, 0.3]),
)
def test_everything_begins_once_whatever_the_window(window, slots, latency, waves, pause):
    began = started_in_order(window=window, slots=slots, latency=latency, waves=waves, pause=pause)
    assert sorted(began) == list(range(sum(waves)))


@pytest.mark.parametrize("latency", [0.0, 0.05])
def test_what_is_put_off_begins_in_the_order_of_its_submission(latency):
    began = started_in_order(window=4, slots=1, latency=latency, waves=[40], pause=0.0)
    assert began == sorted(began)


@pytest.mark.slow
async def test_what_is_put_off_and_not_stored_yet_is_taken_back_without_a_claim():
    world = World()
    app = world.app(store_window=2_000, latency=lambda: 0.01)
    claimed = []

    @app.task
    async def noop():
        return None

    async with app:
        [store] = world.stores
        ask = store.claim

        async def claim(*arguments, **options):
            found = await ask(*arguments, **options)
            claimed.extend(found)
            return found

        store.claim = claim
        await noop.parallelize([()] * 8_000)
    assert len(claimed) < 4_000


async def test_children_beyond_the_window_are_cancelled_with_their_parent():
    world = World()
    app = world.app(store_window=3, max_concurrency=4)
    children = []

    @app.task
    async def child():
        await asyncio.sleep(10)

    @app.task
    async def parent():
        children.extend(child() for _ in range(20))
        await children[-1].accepted()
        await asyncio.sleep(1_000)

    async with app:
        invocation = parent()
        await asyncio.sleep(1)
        await invocation.cancel("enough")
        for one in children:
            await one.wait()
    assert {one.status for one in children} == {S.CANCELLED}
    assert {world.row(one.invocation_id).status for one in children} == {S.CANCELLED}


async def test_what_a_cancelled_body_submits_to_clean_up_is_run_also_from_beyond_the_window():
    app = World().app(store_window=2, max_concurrency=1)
    tidied = []

    @app.task
    async def other():
        await asyncio.sleep(1)

    @app.task
    async def tidy(number):
        tidied.append(number)

    @app.task
    async def parent():
        try:
            await asyncio.Event().wait()
        finally:
            several = [tidy(number) for number in range(3)]
            await asyncio.gather(*(one.accepted() for one in several))
            await asyncio.sleep(2)
            await asyncio.gather(*several)

    async with app:
        invocation = parent()
        await asyncio.sleep(1)
        others = [other() for _ in range(9)]
        await invocation.cancel("enough")
        assert sorted(tidied) == [0, 1, 2]
        assert invocation.status is S.CANCELLED
        await asyncio.gather(*others)


async def test_a_deadline_counts_from_the_submission_also_for_what_was_put_off():
    app = World().app(store_window=1, max_concurrency=1)

    @app.task
    async def busy():
        await asyncio.sleep(30)

    @app.task(deadline=10)
    async def urgent():
        return None

    async with app:
        running = [busy() for _ in range(3)]
        late = [urgent() for _ in range(5)]
        await asyncio.gather(*(one.wait() for one in late))
        assert {one.status for one in late} == {S.CANCELLED}
        for one in running:
            await one


@pytest.mark.slow
@pytest.mark.parametrize("latency", [0.0, 0.01, 0.2])
async def test_a_parent_whose_children_are_beyond_a_window_full_of_what_is_held_goes_on(latency):
    app = World().app(store_window=4, max_concurrency=1, latency=lambda: latency)

    @app.task
    async def child(number):
        return number

    @app.task(running_concurrency="task")
    async def limited(depth):
        return sum([await child(number) for number in range(depth)])

    async with app:
        several = [limited(3) for _ in range(20)]
        assert [await one for one in several] == [3] * 20


async def test_what_a_body_awaits_goes_ahead_of_all_that_fills_the_window():
    app = World().app(store_window=4, max_concurrency=1)
    began, full = [], asyncio.Event()

    @app.task
    async def other(number):
        began.append(number)

    @app.task
    async def parent():
        await full.wait()
        await other(-1)

    async with app:
        waits = parent()
        await asyncio.sleep(1)
        others = [other(number) for number in range(50)]
        await others[-1].accepted()
        full.set()
        await waits
        assert began == [-1]
        for one in others:
            await one


@pytest.mark.parametrize("latency", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("as_group", [False, True])
async def test_what_a_body_awaits_goes_ahead_of_all_that_lies_in_the_store_before_it(as_group, latency):
    app = World().app(store_window=4, max_concurrency=1, latency=lambda: latency)
    began, full = [], asyncio.Event()

    @app.task
    async def other(number):
        began.append(number)
        await asyncio.sleep(1)

    @app.task
    async def parent():
        await full.wait()
        group = other.parallelize([(-1,), (-2,)])
        await asyncio.gather(*(child.accepted() for child in group))
        await (group if as_group else asyncio.gather(*group))

    async with app:
        waits = parent()
        await asyncio.sleep(1)
        others = [other(number) for number in range(50)]
        await others[-1].accepted()
        full.set()
        await waits
        assert max(began.index(-1), began.index(-2)) < 10, began  # behind those that began before they were awaited
        await asyncio.gather(*others)


async def test_what_a_resumed_workflow_awaits_goes_ahead_of_all_that_lies_in_the_store_before_it():
    world, began = World(), []

    def program(*, is_first_life):
        app = world.app(store_window=4, max_concurrency=2)
        full = asyncio.Event()

        @app.task
        async def other(number):
            began.append(number)
            await asyncio.sleep(1)

        @app.task(workflow=True)
        async def parent():
            await full.wait()
            child = other(-1)
            await child.accepted()
            if is_first_life:
                await asyncio.Event().wait()
            await child

        return app, parent, other, full

    app, parent, other, full = program(is_first_life=True)
    async with app:
        invocation_id = parent().invocation_id
        await asyncio.sleep(0.1)
        others = [other(number) for number in range(50)]
        await others[-1].accepted()
        full.set()
        await asyncio.sleep(0.1)
        await app.shutdown(0)
    assert -1 not in began
    began.clear()
    app, _, _, full = program(is_first_life=False)
    async with app:
        full.set()
        await app.get_invocation(invocation_id)
    assert began.index(-1) < 10, began
