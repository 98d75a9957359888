"""Bodies of all kinds in a worker, one at a time, in its main thread."""

import asyncio
from asyncio import AbstractEventLoop, Task
from collections.abc import AsyncGenerator, Coroutine
from contextvars import Context
from typing import Any, Final

from pynenc_async.codec import Wire
from pynenc_async.context import CURRENT
from pynenc_async.execution.plain import returned
from pynenc_async.execution.processes.at_work import InvocationAtWork
from pynenc_async.execution.processes.inbox import Inbox
from pynenc_async.execution.processes.messages import Item
from pynenc_async.execution.processes.outbox import Outbox
from pynenc_async.execution.processes.stopping import Stopping
from pynenc_async.execution.tracebacks import without_our_frames
from pynenc_async.function import FunctionKind

Outcome = tuple[bool, Any]
"""Whether the body returned, and what it returned or raised."""


class Bodies:
    """Runs bodies, and keeps one event loop for those that need it."""

    def __init__(self, inbox: Inbox, outbox: Outbox, stopping: Stopping) -> None:
        self._inbox: Final = inbox
        self._outbox: Final = outbox
        self._stopping: Final = stopping
        self._runner: asyncio.Runner | None = None
        self._heard: asyncio.Future[None] | None = None
        """Done when the app has sent something."""

    def run(self, invocation: InvocationAtWork, ticket: int) -> Outcome:
        """Run one body, in a context of its own, to its end."""
        function, values = invocation._task.function, invocation._values
        context = Context()
        context.run(CURRENT.set, invocation)
        if function.kind is FunctionKind.THREAD:
            return context.run(self._call, function, values)
        body = context.run(function.call, *values)
        if function.kind is FunctionKind.STREAM:
            body = self._send_items(body, ticket, function.item_wire)
        return self._run_in_loop(body, context)

    def close(self) -> None:
        """Let go of the loop."""
        if self._runner is not None:
            self._runner.close()

    def _run_in_loop(self, body: Coroutine[Any, Any, Any], context: Context) -> Outcome:
        if self._runner is None:
            self._runner = asyncio.Runner()
        loop = self._runner.get_loop()
        task = loop.create_task(self._await(body), context=context)
        self._stopping.tell(lambda: _cancel(loop, task))
        watched = self._stopping.look is not None
        if watched:
            loop.add_reader(self._inbox.fileno(), self._look, loop)
        try:
            return loop.run_until_complete(task)
        finally:
            self._stopping.tell(self._stopping.interrupt)
            if watched:
                loop.remove_reader(self._inbox.fileno())
            _end_the_rest(loop)

    async def _send_items(self, items: AsyncGenerator[Any, None], ticket: int, wire: Wire) -> None:
        """Send what a generator yields, as long as there is room for it."""
        inbox, outbox = self._inbox, self._outbox
        try:
            async for item in items:
                outbox.leave_copy()
                data = wire.encode(item, field="item")
                while not inbox.credit:
                    await self._wait_for_credit()
                inbox.credit -= 1
                outbox.send(Item(ticket, data))
        finally:
            await items.aclose()

    async def _wait_for_credit(self) -> None:
        loop = asyncio.get_running_loop()
        self._heard = loop.create_future()
        loop.add_reader(self._inbox.fileno(), self._look, loop)
        try:
            await self._heard
        finally:
            if self._stopping.look is None:
                loop.remove_reader(self._inbox.fileno())

    def _look(self, loop: AbstractEventLoop) -> None:
        """Take in what the app has sent for the body that runs in the loop."""
        try:
            self._inbox.look()
        except EOFError:  # the app is gone
            loop.remove_reader(self._inbox.fileno())
            self._stopping.request()
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)

    def _call(self, function: Any, values: tuple[Any, ...]) -> Outcome:
        try:
            outcome: Outcome = True, returned(function, function.call(*values))
        except BaseException as error:  # noqa: BLE001  whatever a body ends in, its invocation ends
            outcome = False, without_our_frames(error)
        return self._in_worker(outcome)

    async def _await(self, body: Coroutine[Any, Any, Any]) -> Outcome:
        try:
            outcome: Outcome = True, await body
        except BaseException as error:  # noqa: BLE001
            outcome = False, without_our_frames(error)
        return self._in_worker(outcome)

    def _in_worker(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a body, unless this is a child that it has forked off: that one ends here."""
        has_returned, value = outcome
        self._outbox.leave_copy(None if has_returned else value)
        return outcome


def _cancel(loop: AbstractEventLoop, task: "Task[Any]") -> None:
    loop.call_soon_threadsafe(task.cancel, "told to stop")


def _end_the_rest(loop: AbstractEventLoop) -> None:
    """Cancel what a body has left running: the loop stands still until the next one."""
    rest = asyncio.all_tasks(loop)
    for task in rest:
        task.cancel()
    if rest:
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
