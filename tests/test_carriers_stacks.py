"""A body that hangs is found with the tools that asyncio has for it, as any coroutine is."""

import asyncio
import inspect
import io

import pytest
from helpers import turns

from pynenc_async import Pynenc


async def hangs_here():
    await asyncio.Event().wait()


async def hangs_deeper():
    await hangs_here()


def an_app(**options):
    app = Pynenc()
    return app, app.task(**options)(hangs_deeper)


async def the_task():
    await turns(3)
    [task] = [one for one in asyncio.all_tasks() - {asyncio.current_task()} if "hangs_deeper" in repr(one)]
    return task


@pytest.mark.parametrize("options", [{}, {"timeout": 60}], ids=["plain", "timed"])
async def test_the_stack_of_its_task_and_its_repr_lead_into_the_body(options):
    _, hangs = an_app(**options)
    hanging = hangs()
    task = await the_task()
    assert [frame.f_code.co_name for frame in task.get_stack()] == ["hangs_deeper"]
    printed = io.StringIO()
    task.print_stack(file=printed)
    assert "await hangs_here()" in printed.getvalue()
    assert "hangs_deeper() running at" in repr(task)
    await hanging.cancel()


async def test_what_the_body_awaits_is_found_from_its_coroutine():
    _, hangs = an_app()
    hanging = hangs()
    coroutine = (await the_task()).get_coro()
    assert coroutine.__qualname__ == coroutine.__name__ == "hangs_deeper"
    assert coroutine.cr_await.__qualname__ == "hangs_here"
    assert coroutine.cr_await.cr_frame.f_code.co_name == "hangs_here"
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
    with pytest.raises(AttributeError, match="no attribute 'cr_nothing'"):
        _ = coroutine.cr_nothing
    await hanging.cancel()


async def test_with_middleware_the_stack_leads_there_as_well():
    app, hangs = an_app()

    @app.middleware
    async def around(_invocation, call_next):
        return await call_next()

    hanging = hangs()
    await turns(3)
    seen = []
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        awaited = task.get_coro()
        while awaited is not None:
            seen.append(getattr(awaited, "__qualname__", ""))
            awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    assert {"hangs_deeper", "hangs_here"} <= set(seen)
    await hanging.cancel()
