"""An event loop inside a body, as nest_asyncio and debuggers run it: `run_nested` needs no patched loop."""

import asyncio
from asyncio.tasks import _enter_task, _leave_task


def run_nested(coroutine):
    """Run the present loop, further up the stack, until the coroutine has ended; return what it returns."""
    loop, outer = asyncio.get_running_loop(), asyncio.current_task()
    _leave_task(loop, outer)
    counted_on = len(loop._ready)
    try:
        inner = loop.create_task(_awaiting(coroutine))
        while not inner.done():
            loop._run_once()
        return inner.result()
    finally:
        for _ in range(counted_on):  # by the turn further down the stack
            loop.call_soon(_nothing)
        _enter_task(loop, outer)


async def _awaiting(awaitable):
    return await awaitable


def _nothing():
    pass
