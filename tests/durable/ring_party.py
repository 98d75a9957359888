"""Processes whose bodies wait for one another: what a body does is said by its name, and by that name others find it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from helpers import Gate, turns

from pynenc_async import CycleDetectedError
from pynenc_async.telemetry import logger

PATIENCE = 1_000
logger.addFilter(
    lambda entry: "ring_party" not in getattr(entry, "task_id", "")
)  # of a ring, nobody looks at all errors


class Party:
    """Apps on one store, each with the same tasks."""

    def __init__(self, apps):
        self.apps, self.bodies, self.ids, self.gate = apps, {}, {}, Gate()
        for app in apps:
            self._define(app)

    def _define(self, app):
        @app.task
        async def member(name: str) -> str:
            await self.gate.wait()
            await self.bodies[name](app)
            return name

        @app.task(detect_cycles=False)
        async def unchecked(name: str) -> str:
            return await member.func(name)

        @app.task(running_concurrency="keys", key_arguments="key")
        async def limited(key: str, name: str) -> str:
            return await member.func(name)

        @app.task(running_total=2)
        async def few(name: str) -> str:
            return await member.func(name)

        @app.task(registration_concurrency="arguments", unique_until="finished")
        async def unique(name: str) -> str:
            return await member.func(name)

        @app.task
        async def stream(name: str) -> AsyncIterator[str]:
            await member.func(name)
            yield name

        @app.task
        def in_thread(name: str) -> str:
            self.gate.block()
            self.bodies[name](app)
            return name

        app.member, app.unchecked, app.limited, app.few = member, unchecked, limited, few
        app.unique, app.stream, app.in_thread = unique, stream, in_thread

    def get(self, app, name):
        return app.get_invocation(self.ids[name])

    def add(self, name, handle, *others, way=None):
        """Let an invocation be known by a name, and wait for others: one after the other, or in a way of its own."""
        self.ids[name] = handle.invocation_id
        self.bodies[name] = lambda app: (way or one_by_one)([self.get(app, other) for other in others])
        return handle

    def submit(self, place, name, *others, way=None):
        return self.add(name, self.apps[place].member(name), *others, way=way)

    async def go(self):
        """Let all bodies go on, as soon as the store has them all."""
        for app in self.apps:
            await app._dispatcher.ledger.flush()
        self.gate.open()

    async def __aenter__(self):
        self._stack = AsyncExitStack()
        for app in self.apps:
            await self._stack.enter_async_context(app)
        return self

    async def __aexit__(self, *error):
        await self._stack.__aexit__(*error)


async def one_by_one(handles):
    for handle in handles:
        await handle


async def until(handle, status):
    async with asyncio.timeout(PATIENCE):
        while handle.status is not status:
            await turns(1)


async def outcome(handle):
    async with asyncio.timeout(PATIENCE):
        await handle.wait()
    return handle.exception()


async def outcomes(*handles):
    return [await outcome(handle) for handle in handles]


def assert_broken(errors):
    """All were in rings: each was refused, or has the failure of one that was."""
    assert all(isinstance(error, CycleDetectedError) for error in errors), errors


def assert_broken_once(errors):
    """One of a ring was refused, and the others have its failure."""
    assert_broken(errors)
    assert len({error.path for error in errors}) == 1, errors


def the_refusal(errors):
    """Return the one failure: one had to give way, and the others got through."""
    (refusal,) = [error for error in errors if error is not None]
    assert isinstance(refusal, CycleDetectedError)
    return refusal
