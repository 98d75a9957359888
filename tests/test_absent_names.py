"""What people call things elsewhere, asyncio above all: where it means nothing here, the error names the right way."""

import asyncio

import pytest

from pynenc_async import Pynenc
from pynenc_async.absent import OF_INVOCATIONS, OF_TASKS


def an_app(url: str = "memory://"):
    app = Pynenc(url)

    @app.task
    async def work(x: int) -> int:
        return x

    @app.task
    async def fail() -> None:
        raise AttributeError("of the function itself")

    return app, work, fail


@pytest.mark.parametrize("url", ["memory://", "sync://"])
async def test_a_name_of_a_future_raises_an_error_that_names_the_way(url):
    app, work, _ = an_app(url)
    async with app:
        invocation = work(1)
        for name in OF_INVOCATIONS:
            assert not hasattr(invocation, name)
            with pytest.raises(AttributeError, match=f"no attribute '{name}': "):
                getattr(invocation, name)
        await invocation


@pytest.mark.parametrize("url", ["memory://", "sync://"])
async def test_a_name_of_another_queue_raises_an_error_that_names_the_way(url):
    app, work, _ = an_app(url)
    for name in OF_TASKS:
        assert not hasattr(work, name)
        with pytest.raises(AttributeError, match=f"'Task' object has no attribute '{name}': "):
            getattr(work, name)
    async with app:
        pass


@pytest.mark.parametrize("url", ["memory://", "sync://"])
async def test_iterating_a_handle_names_its_stream(url):
    app, work, _ = an_app(url)
    async with app:
        invocation = work(1)
        with pytest.raises(TypeError, match=r"invocation\.stream\(\)"):
            async for _ in invocation:  # as some read an async generator
                pass
        await invocation


async def test_asyncio_wait_of_handles_names_the_way():
    app, work, _ = an_app()
    async with app:
        handles = [work(1), work(2)]
        with pytest.raises(AttributeError, match="ensure_future"):
            await asyncio.wait(handles)
        done, _ = await asyncio.wait([asyncio.ensure_future(one) for one in handles])
        assert {one.result() for one in done} == {1, 2}


async def test_an_attribute_error_of_the_function_stays_what_it_is():
    app, _, fail = an_app()
    async with app:
        invocation = fail()
        await invocation.wait()
        with pytest.raises(AttributeError, match="of the function itself"):
            _ = invocation.result
