"""Events, triggers, observers and uses of tasks may be made by a finalizer or a signal handler in the midst of each other."""

import pytest
from helpers import assert_at_rest, turns
from interruptions import collected, interrupted

from pynenc_async import emitted, succeeded

both = pytest.mark.parametrize("way", [collected, interrupted])


@both
async def test_an_event_may_be_emitted_in_the_midst_of_emitting(app, way):
    heard = []

    @app.task
    async def listen(*payload):
        heard.append(payload)

    app.on(emitted("one") & emitted("other"), by=lambda occurrence: occurrence.payload)(listen)
    async with app:
        emissions = []

        def emit(name="other"):
            emissions.extend(app.emit(name, len(emissions) % 3))

        with way(emit):
            for _ in range(20):
                emit("one")
                await turns(2)
        await turns(200)
        await assert_at_rest(app)
    assert heard


@pytest.mark.slow
@both
async def test_what_follows_an_end_is_not_lost_when_others_end_in_the_midst(app, tasks, way):
    heard = []

    @app.task(detect_cycles=False)
    async def follow(n):
        heard.append(n)

    app.on(succeeded(tasks.suspending), arguments=lambda occurrence: (occurrence.result,))(follow)
    async with app:
        handles = []
        with way(lambda: handles.append(tasks.suspending(len(handles)))):
            await tasks.suspending(-1)
        for handle in handles:
            await handle
        await turns(200)
    assert sorted(heard) == sorted([-1, *range(len(handles))])


@pytest.mark.slow
@both
async def test_a_trigger_may_be_made_and_a_use_of_a_task_in_the_midst_of_a_call(app, tasks, way):
    async with app:
        handles, observed = [], []

        def change():
            app.on(succeeded(tasks.plain), arguments=(), name=f"trigger {len(handles)}")(tasks.suspending)
            with app.observe(observed.append):
                handles.append(tasks.plain.with_options(priority=len(handles) % 3)(len(handles)))

        with way(change, 20) if way is collected else way(change, most=20):
            for n in range(5):
                handles.append(tasks.plain(n))
                handles.append(tasks.limited.with_options(priority=n)(n))
            for handle in handles:
                assert await handle.wait(60)
        for handle in handles:
            assert await handle.wait(60)
