"""An app that was made before a fork: each child is a runner of its own, and leaves to its parent what is the parent's."""

import asyncio
import gc
import random
import threading

import pytest
from forking import Child, from_thread, in_child, in_children, needs_forks
from helpers import S, statuses

from pynenc_async import InvocationCancelledError, Pynenc, current_invocation, emitted, inject
from pynenc_async.testing import VirtualLoop

pytestmark = needs_forks
URLS = ["memory://", "sqlite:///{}/jobs.db", "sync://"]
LASTING = URLS[:2]


class World:
    """An app, a task, and how to call it in a process."""

    def __init__(self, url, tmp_path):
        self.app = Pynenc(url.format(tmp_path))
        self.kept = []

        @self.app.task
        async def bill(customer: str) -> str:
            return f"invoice of {customer}"

        self.bill = bill

    def run(self, main):
        async def live():
            async with self.app:
                return await main()

        return asyncio.run(live())

    def call(self, customer):
        async def main():
            invocation = await self.bill.submit(customer)
            self.kept.append(invocation)
            return [invocation.invocation_id, await invocation]

        return self.run(main)


@pytest.fixture(params=URLS)
def world(request, tmp_path):
    return World(request.param, tmp_path)


@pytest.fixture(params=LASTING)
def lasting(request, tmp_path):
    return World(request.param, tmp_path)


def assert_of_their_own(world, answers):
    ids = [invocation_id for invocation_id, _ in answers]
    assert len(set(ids)) == len(ids)
    assert {result for _, result in answers} == {"invoice of ann"}
    if world.app.url.startswith("sqlite:"):
        found = world.run(world.app.find)
        assert {one.invocation_id for one in found.invocations} == {*ids, *(one.invocation_id for one in world.kept)}


@pytest.mark.slow
def test_children_have_ids_of_their_own(world):
    assert_of_their_own(world, in_children(3, lambda: world.call("ann")))


@pytest.mark.slow
def test_children_that_a_thread_has_forked_have_them_too(world):
    assert_of_their_own(world, from_thread(lambda: in_children(3, lambda: world.call("ann"))))


@pytest.mark.slow
def test_so_do_parent_and_children_of_an_app_that_has_run_before(world):
    before = world.call("ann")
    answers = [
        before,
        *in_children(2, lambda: world.call("ann")),
        in_child(lambda: in_child(lambda: world.call("ann"))),
    ]
    assert_of_their_own(world, [*answers, world.call("ann")])


@pytest.mark.slow
def test_the_id_of_an_invocation_stays_what_it_is_in_a_child(world):
    world.call("ann")

    def look():
        [one] = world.kept
        found = world.app.find_invocation(one.invocation_id)
        return [one.invocation_id, found is one, one.history[0].runner_id, one.result]

    invocation_id = world.kept[0].invocation_id
    runner_id = invocation_id.rpartition("-")[0]
    assert in_child(look) == [invocation_id, True, runner_id, "invoice of ann"]


@pytest.mark.slow
def test_an_id_that_the_parent_gives_later_is_not_taken_for_an_own_one(world):
    before = world.call("ann")[0]
    runner_id, _, number = before.rpartition("-")
    later = f"{runner_id}-{int(number) + 1}"

    def look():
        world.call("ann")
        world.call("ann")
        return world.app.find_invocation(later) is None

    assert in_child(look)


@pytest.mark.slow
def test_an_app_that_was_shut_down_is_started_in_a_child_that_its_loop_has_forked(lasting):
    async def main():
        async with lasting.app:
            await lasting.bill("ann")
        return in_child(lambda: lasting.call("bob"))

    assert asyncio.run(main())[1] == "invoice of bob"


# -- what the parent has under way -------------------------------------------------------------------------------------


def half_done(app):
    """Leave an invocation that waits for its moment and one that runs until `gate` has something in it.

    Return the loop, both, how often bodies have begun, and the gate.
    """
    began, gate = [], []

    @app.task
    async def work() -> str:
        began.append("work")
        while not gate:
            await asyncio.sleep(0.01)
        return "done"

    async def main():
        await app.start()
        left = [work.with_options(delay=0.5)(), work()]
        await asyncio.gather(*(one.accepted() for one in left))
        while not began:
            await asyncio.sleep(0)
        return left

    loop = asyncio.new_event_loop()
    return loop, loop.run_until_complete(main()), began, gate


@pytest.mark.slow
def test_what_waits_or_runs_in_the_parent_is_not_run_in_a_child_as_well():
    app = Pynenc()
    loop, left, began, gate = half_done(app)

    def look():
        async def main():
            async with app:
                await asyncio.sleep(0.7)
                return [type(error).__name__ for error in await asyncio.gather(*left, return_exceptions=True)]

        return [asyncio.run(main()), [str(one.status) for one in left], len(began)]

    ended = [InvocationCancelledError.__name__] * 2, [str(S.CANCELLED)] * 2
    assert in_child(look) == [*ended, 1]
    gate.append("open")
    assert loop.run_until_complete(asyncio.wait_for(left[0], 10)) == "done"
    assert loop.run_until_complete(asyncio.wait_for(left[1], 10)) == "done"
    loop.run_until_complete(app.shutdown())
    loop.close()


@pytest.mark.slow
def test_of_what_a_store_keeps_a_child_awaits_what_the_parent_runs(tmp_path):
    app = Pynenc(f"sqlite:///{tmp_path}/jobs.db")
    loop, left, began, gate = half_done(app)

    def follow():
        async def main():
            async with app:
                return await asyncio.gather(*left)

        return [asyncio.run(asyncio.wait_for(main(), 30)), len(began)]

    child = Child(follow)
    gate.append("open")
    for one in left:
        assert loop.run_until_complete(asyncio.wait_for(one, 10)) == "done"
    assert child.answer() == [["done", "done"], 1]
    assert len(began) == 2
    loop.run_until_complete(app.shutdown())
    loop.close()


@pytest.mark.slow
def test_what_another_thread_runs_inline_ends_in_a_child():
    app = Pynenc("sync://")
    began, goes_on = threading.Event(), threading.Event()

    @app.task
    def work() -> str:
        running.append(current_invocation())
        began.set()
        goes_on.wait(30)
        return "done"

    running = []
    thread = threading.Thread(target=work)
    thread.start()
    began.wait(30)
    [invocation] = running
    assert in_child(lambda: type(invocation.exception()).__name__) == InvocationCancelledError.__name__
    goes_on.set()
    thread.join(30)
    assert invocation.result == "done"


@pytest.mark.slow
def test_what_is_registered_in_the_parents_memory_makes_no_call_of_a_child_a_duplicate():
    app = Pynenc()

    @app.task(registration_concurrency="arguments", unique_for=3600)
    async def pay(key: str) -> str:
        return key

    async def main():
        invocation = pay("k")
        await invocation
        return invocation.invocation_id

    in_parent = asyncio.run(main())
    assert in_child(lambda: asyncio.run(main())) != in_parent == asyncio.run(main())


@pytest.mark.slow
def test_a_failure_that_nobody_looked_at_is_logged_in_the_process_in_which_it_happened(caplog):
    app = Pynenc()

    @app.task
    async def fails():
        raise OSError

    async def main():
        kept.append(fails())
        while kept[0].status is not S.FAILED:
            await asyncio.sleep(0)

    kept = []
    asyncio.run(main())

    invocation_id = kept[0].invocation_id

    def drop():
        kept.clear()
        gc.collect()
        return sum(invocation_id in record.getMessage() for record in caplog.records)

    assert in_child(drop) == 0
    assert drop() == 1


@pytest.mark.slow
def test_a_child_opens_resources_of_its_own():
    app, opened = Pynenc(), []

    @app.resource(scope="app")
    async def connection():
        opened.append(len(opened))
        yield opened[-1]

    @app.task
    async def use(number: int = inject(connection)) -> int:
        return number

    async def main():
        return await use()

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(main()) == 0
    assert in_child(lambda: asyncio.run(main())) == 1
    assert loop.run_until_complete(main()) == 0
    loop.run_until_complete(app.shutdown())
    loop.close()


@pytest.mark.slow
def test_half_of_what_a_trigger_waits_for_has_happened_in_the_parent_alone():
    app = Pynenc()

    @app.on(emitted("one") & emitted("other"))
    @app.task
    async def both() -> None:
        pass

    async def emit(event):
        return len(app.emit(event))

    asyncio.run(emit("one"))
    assert in_child(lambda: asyncio.run(emit("other"))) == 0
    assert asyncio.run(emit("other")) == 1


# -- random numbers ----------------------------------------------------------------------------------------------------


def in_virtual_time(main, **options):
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(**options)) as runner:
        return runner.run(main())


def jittered(app):
    """Return a function that says after how many seconds a failure was tried again."""

    @app.task(max_retries=1, retry_delay=1_000, retry_max_delay=1_000, retry_jitter=True)
    async def flaky() -> None:
        raise OSError

    async def main():
        invocation = flaky()
        await invocation.wait()
        history = invocation.history
        return history[-2].timestamp - history[-4].timestamp if len(history) > 4 else statuses(invocation)

    return main


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 1])
def test_retries_of_children_do_not_come_back_together(seed):
    app = Pynenc()
    main = jittered(app)
    in_virtual_time(main, seed=seed)  # in the parent, with the seed of a simulation

    def draw():
        random.seed(1)  # what the program does with its own random numbers changes nothing
        return in_virtual_time(main)

    delays = in_children(3, draw)
    assert len(set(delays)) == 3, delays


@pytest.mark.slow
def test_schedules_of_children_are_not_put_off_by_the_same_time():
    app, fired = Pynenc(), []

    @app.every(10_000, jitter=5_000)
    async def tick() -> None:
        fired.append(asyncio.get_running_loop().time() - began[0])

    began = []

    async def main():
        began.append(asyncio.get_running_loop().time())
        async with app:
            await asyncio.sleep(30_000)
        return fired

    in_virtual_time(main)
    fired.clear()
    began.clear()
    first = [moments[0] for moments in in_children(3, lambda: in_virtual_time(main))]
    assert len(set(first)) == 3, first
