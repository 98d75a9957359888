"""An app in memory is used in another event loop than its own, which is not closed: nothing there may be lost for ever."""

import asyncio

import pytest

from pynenc_async import AppNotStartedError, Pynenc

PATIENCE = 30


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop()


def app_with_tasks(**options):
    app = Pynenc(drain_seconds=0, **options)

    @app.task
    async def job(number):
        return number

    @app.task
    async def held():
        held.gate = asyncio.Event()
        await held.gate.wait()
        return "told"

    return app, job, held


USES = {
    "call": lambda app, job, _: job(1),
    "submit": lambda app, job, _: job.submit(1),
    "parallelize": lambda app, job, _: job.parallelize([(1,)]),
    "windowed group": lambda app, job, _: job.parallelize(((n,) for n in range(3)), window=1),
    "emit": lambda app, job, _: app.emit("event"),
    "await": lambda app, job, handle: handle,
    "wait": lambda app, job, handle: handle.wait(PATIENCE),
    "cancel": lambda app, job, handle: handle.cancel(),
    "updates": lambda app, job, handle: anext(aiter(handle.updates())),
    "start": lambda app, job, _: app.start(),
    "drain": lambda app, job, _: app.drain(1),
    "shutdown": lambda app, job, _: app.shutdown(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_while_something_lives_in_its_loop_another_loop_is_refused_and_the_waiter_there_is_told(loop, use):
    app, job, held = app_with_tasks()

    async def begin():
        handle = held()
        waiter = asyncio.ensure_future(handle.wait())
        while not hasattr(held, "gate"):
            await asyncio.sleep(0)
        return handle, waiter

    handle, waiter = loop.run_until_complete(begin())

    async def elsewhere():
        done = use(app, job, handle)
        return await done if hasattr(done, "__await__") else done

    with pytest.raises(AppNotStartedError, match=f"{id(loop):#x}.*does not run now"):
        asyncio.run(asyncio.wait_for(elsewhere(), PATIENCE))
    held.gate.set()
    assert loop.run_until_complete(asyncio.wait_for(waiter, PATIENCE))
    assert handle.result == "told"
    assert [one.task for one in app.invocations()] == [held]


def test_while_nothing_lives_in_its_loop_another_loop_may_use_it_and_so_may_the_first_again(loop):
    app, job, _ = app_with_tasks()

    async def use(number):
        return await job(number)

    assert loop.run_until_complete(use(1)) == 1
    assert asyncio.run(use(2)) == 2
    assert loop.run_until_complete(use(3)) == 3
    loop.run_until_complete(app.shutdown())
    asyncio.run(app.shutdown())


def test_after_a_shutdown_in_its_loop_it_is_started_in_another(loop):
    app, job, _ = app_with_tasks()

    async def whole(number):
        async with app:
            return await job(number)

    assert loop.run_until_complete(whole(1)) == 1
    assert asyncio.run(whole(2)) == 2
