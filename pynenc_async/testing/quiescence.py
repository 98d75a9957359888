"""Waiting until the dust has settled: no sleep, no guess at the number of turns."""

import asyncio

from pynenc_async.testing.virtual_loop import VirtualLoop


async def wait_all_tasks_blocked() -> None:
    """Return when everybody else waits: nothing is ready to run, and no thread works. No time passes.

    Several tasks that wait here return together. Only the simulated loop knows when it has nothing to do; on every
    other loop this raises `RuntimeError`, because counting turns would be a guess.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise RuntimeError(  # noqa: TRY004  # not an argument of the wrong type: called in the wrong place
            f"wait_all_tasks_blocked() needs the simulated loop, this is {type(loop).__name__}: "
            "run the test with pynenc_async.testing.run()"
        )
    await loop.wait_idle()
