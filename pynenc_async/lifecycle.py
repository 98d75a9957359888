"""How an app stops: admit nothing from outside, wait for what is under way, cancel the rest, let go of the loop."""

import asyncio
from contextvars import Context
from typing import Any, Final

from pynenc_async.errors import InvocationError
from pynenc_async.invocation.dispatch import Dispatcher, Phase
from pynenc_async.invocation.waiting import current_body, is_own_task
from pynenc_async.scheduler.cycles import describe
from pynenc_async.telemetry import logger

CANCEL_GRACE_SECONDS: Final = 5.0
"""How long a cancelled body may take to end before the shutdown goes on without it."""


async def drain(dispatcher: Dispatcher, seconds: float) -> None:
    """Wait at most `seconds` for the living invocations, and for those that they still submit.

    Raises `InvocationError`, and changes nothing, when a body of the app awaits it: it would wait for itself.
    """
    body = current_body()
    if body is not None and body._task.runtime is dispatcher and is_own_task(body):
        raise InvocationError(
            dispatcher.format_id(body._number),
            f"invocation {describe(body)} shuts down the app that would wait for it; "
            "do so outside of bodies, or in an asyncio Task that the body does not await",
        )
    if dispatcher.phase is Phase.OPEN:
        dispatcher.phase = Phase.DRAINING
    if dispatcher.loop is asyncio.get_running_loop():
        await asyncio.create_task(_wait_for_all(dispatcher, seconds), context=Context())  # it waits for nobody's sake


async def _wait_for_all(dispatcher: Dispatcher, seconds: float) -> None:
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
