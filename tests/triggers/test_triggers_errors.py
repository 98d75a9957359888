"""User code that raises, calls that are refused, and the promises about failures and streams that a watch must not break."""

from helpers import Gate, S, assert_at_rest, turns
from trigger_world import reporter, settled, worker

from pynenc_async import (
    Pass,
    Pynenc,
    emitted,
    failed,
    reached,
    returned,
    succeeded,
)


def broken(*_):
    raise LookupError("broken")


async def test_user_code_that_raises_is_logged_and_disables_nothing(caplog):
    app = Pynenc()
    work = worker(app)
    seen = {
        "predicate": reporter(app, returned(work, broken) | emitted("x"), name="predicate"),
        "key": reporter(app, succeeded(work) & emitted("y"), by=broken, name="key"),
        "unhashable": reporter(app, succeeded(work) & emitted("y"), by=lambda _: [], name="unhashable"),
        "arguments": reporter(app, succeeded(work), arguments=broken, name="arguments"),
        "wrong": reporter(app, succeeded(work), arguments=lambda _: 5, name="wrong"),
        "misfit": reporter(app, succeeded(work), arguments=lambda _: (1, 2, 3), name="misfit"),
        "fine": reporter(app, succeeded(work), name="fine"),
    }
    for n in range(2):
        assert await work(n) == n
    await settled(app)
    assert len(app.emit("x")) == 1
    await settled(app)
    assert {name: len(events) for name, events in seen.items() if events} == {"fine": 2, "predicate": 1}
    errors = [record for record in caplog.records if record.name == "pynenc_async" and record.exc_info]
    for name in seen:
        assert sum(repr(name) in record.getMessage() for record in errors) == (0 if name == "fine" else 2)
    await assert_at_rest(app)


async def test_a_call_that_the_task_refuses_is_logged(caplog):
    app, gate = Pynenc(), Gate()
    work = worker(app)

    @app.on(succeeded(work), name="refused")
    @app.task(registration_concurrency="task", on_duplicate="raise", unique_until="finished")
    async def single():
        await gate.wait()

    await work(1)
    await work(2)
    gate.open()
    await settled(app)
    assert "trigger 'refused' could not call" in caplog.text
    assert len(app.invocations(task=single)) == 1


async def test_a_watched_failure_that_nobody_looked_at_is_logged_as_ever(caplog):
    app = Pynenc()
    work = worker(app)
    reporter(app, failed(work, OSError), name="other")
    reporter(app, failed(work), arguments=Pass.NOTHING, name="same")
    handle = work(LookupError("lost"))
    invocation_id = handle.invocation_id
    del handle
    await settled(app)
    await turns(3)
    logged = [record.getMessage() for record in caplog.records if "nobody looked" in record.getMessage()]
    assert len(logged) == 1
    assert invocation_id in logged[0]


async def test_a_watched_stream_keeps_its_items_for_a_reader():
    app = Pynenc()

    @app.task(stream_buffer=2)
    async def stream():
        for n in range(6):
            yield n

    seen = reporter(app, succeeded(stream) | reached(stream, S.RUNNING))
    handle = stream()
    await turns(10)
    assert [item async for item in handle.stream()] == list(range(6))
    await settled(app)
    assert len(seen) == 2
