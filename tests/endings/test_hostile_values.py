"""Whatever the class of a value does when the value is encoded, decoded, compared or dropped, its invocation ends."""

import asyncio
import gc

import hostile_values as values
import pytest
from hostile_errors import HOSTILE
from hostile_values import Touchy, Unmakeable, Unreadable

from pynenc_async import Pynenc, RemoteError, SerializationError
from pynenc_async.status import InvocationStatus

S = InvocationStatus


async def error_of(invocation):
    await invocation.wait()
    return invocation.exception()


@pytest.mark.slow
@pytest.mark.parametrize("body", [values.raise_hostile, values.raise_hostile_later])
async def test_a_body_in_a_worker_fails_with_whatever_error(body):
    async with Pynenc(max_processes=1) as app:
        task = app.task(runs_in="process")(body)
        for number, kind in enumerate(HOSTILE):
            error = await error_of(task(number))
            assert type(error) in (kind, RemoteError), "a class whose errors cannot be shown is described"
        assert app.statistics().living == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "arguments", "field"),
    [
        (values.return_unreadable, (), "result"),
        (values.return_unmakeable, (), "result"),
        (values.take_unreadable, (Unreadable(),), "arguments"),
        (values.take_unmakeable, (values.unmakeable(),), "arguments"),
        (values.yield_unmakeable, (), "item"),
    ],
)
async def test_what_cannot_cross_to_a_worker_or_back_fails_its_invocation_alone(body, arguments, field):
    async with Pynenc(max_processes=1) as app:
        task = app.task(runs_in="process")(body)
        if arguments:  # they are refused at the call
            with pytest.raises(SerializationError) as caught:
                task(*arguments)
            error = caught.value
        else:
            error = await error_of(task())
        assert isinstance(error, SerializationError)
        assert error.field == field
        assert await app.task(runs_in="process")(values.make)(0) == Unmakeable(0)
        assert app.statistics().living == 0


async def test_a_result_that_cannot_be_stored_fails_its_invocation_alone(new_app):
    app = new_app(max_concurrency=1)
    make = app.task(values.make)
    async with app:
        unreadable = app.task(values.return_unreadable)()
        error = await error_of(unreadable)
        if unreadable.status is S.FAILED:  # in memory nothing is encoded
            assert error.field == "result"
        assert await make(0) == Unmakeable(0)
        assert app.statistics().living == 0


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_result_that_minds_everything_is_handed_over(later, in_thread):
    app = Pynenc()

    def at_once():
        return Touchy()

    async def in_the_loop():
        if later:
            await asyncio.sleep(0)
        return Touchy()

    task = app.task(at_once if in_thread else in_the_loop)
    assert type(await task()) is Touchy
    assert [type(one) for one in await task.parallelize([(), ()])] == [Touchy, Touchy]
    assert [type(one) async for one in task.parallelize(() for _ in range(2))] == [Touchy, Touchy]


def test_so_it_is_by_an_inline_invocation():
    app = Pynenc("sync://")
    task = app.task(values.touchy)
    assert type(task().result) is Touchy
    assert [type(one) for one in task.parallelize([(), ()]).results] == [Touchy, Touchy]


async def test_what_a_value_raises_as_it_is_dropped_hurts_nothing(new_app, monkeypatch):
    unraisable = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)

    class Bomb:
        armed = True

        def __del__(self):
            if Bomb.armed:
                raise SystemExit

    app = new_app(max_concurrency=1, retain_count=0)

    @app.task
    async def body():
        Bomb()
        await asyncio.sleep(0)
        bomb = Bomb()
        raise LookupError(repr(bomb))

    async with app:
        for _ in range(3):
            assert isinstance(await error_of(body()), LookupError)
        gc.collect()
        assert app.statistics().living == 0
    assert len(unraisable) >= 3
    Bomb.armed = False
    unraisable.clear()


async def test_arguments_that_mind_everything_are_limited_and_registered_like_others():
    app = Pynenc()

    @app.task(running_concurrency="arguments", registration_concurrency="arguments")
    async def body(value):
        await asyncio.sleep(0)
        return value

    one = Touchy()
    first, second, third = body(one), body(one), body(Touchy())
    assert type(await first) is type(await second) is type(await third) is Touchy
    assert app.statistics().living == 0
