"""How an app stops: admit nothing from outside, wait for what is under way, cancel the rest, let go of the loop."""

import asyncio
from typing import Any, Final

from pynenc_async.invocation.dispatch import Dispatcher, Phase
from pynenc_async.telemetry import logger

CANCEL_GRACE_SECONDS: Final = 5.0
"""How long a cancelled body may take to end before the shutdown goes on without it."""


async def drain(dispatcher: Dispatcher, seconds: float) -> None:
    """Wait at most `seconds` for the living invocations, and for those that they still submit."""
    if dispatcher.phase is Phase.OPEN:
        dispatcher.phase = Phase.DRAINING
    if dispatcher.loop is not asyncio.get_running_loop():
        return
    try:
        async with asyncio.timeout(seconds):
            while living := dispatcher.living():
                for invocation in living:
                    await invocation.wait()
    except TimeoutError:
        await _cancel_all(dispatcher)


async def _cancel_all(dispatcher: Dispatcher) -> None:
    for invocation in dispatcher.living():
        dispatcher.scheduler.cancel(invocation, "the app was shut down")
    try:
        async with asyncio.timeout(CANCEL_GRACE_SECONDS):
            for invocation in dispatcher.living():
                await invocation.wait()
    except TimeoutError:
        for invocation in dispatcher.living():
            _report_stubborn(invocation)
            dispatcher.scheduler.abandon(invocation, "it ignored its cancellation, and the app was shut down")


def _report_stubborn(invocation: Any) -> None:
    logger.error(
        "invocation %s of task %s ignored its cancellation and is abandoned",
        invocation.invocation_id,
        invocation.task.task_id,
        extra={"invocation_id": invocation.invocation_id, "task_id": invocation.task.task_id},
    )


async def close(dispatcher: Dispatcher) -> None:
    """Admit nothing, and let carriers that found no work end in this turn of the loop."""
    dispatcher.phase = Phase.CLOSED
    if dispatcher.loop is asyncio.get_running_loop():
        dispatcher.crew.threads.close()
        await asyncio.sleep(0)
