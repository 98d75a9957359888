"""What the tests of triggers share: tasks to watch, tasks that are fired, and the rest after it."""

import asyncio

from helpers import turns

from pynenc_async import Pass


def task_of(app, body, name, **options):
    """Register a function under a name of its own."""
    body.__name__ = body.__qualname__ = name
    return app.task(**options)(body)


async def settled(app):
    """Everything has ended, and so has what that fired."""
    await turns(3)
    while app.statistics().living or app._dispatcher.watches.backlog.is_waiting:
        await asyncio.sleep(0)
    await turns(3)


def reporter(app, condition, *, name="report", **options):
    """Return what the fired invocations were given; they are given the event unless `arguments` says otherwise."""
    seen = []

    async def report(event=None):
        seen.append(event)

    app.on(condition, **{"arguments": Pass.EVENT, "name": name, **options})(task_of(app, report, name))
    return seen


def worker(app, name="work", **options):
    """Return a task that gives back what it is given, and raises it if it is an error."""

    async def work(n=0):
        if isinstance(n, Exception):
            raise n
        return n

    return task_of(app, work, name, **options)


async def ended(handle):
    """Wait for the end, and look at the error."""
    await handle.wait()
    handle.exception()
