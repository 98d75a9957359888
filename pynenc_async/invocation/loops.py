"""What an app answers whoever uses it in another event loop than its own: which loop that is, and what to do."""

from asyncio import AbstractEventLoop

from pynenc_async.errors import AppNotStartedError


def describe_loop(loop: AbstractEventLoop) -> str:
    """Return a loop's class and address, and what it does, for people."""
    name = f"<{type(loop).__name__} at {id(loop):#x}>"
    if loop.is_running():
        return f"the event loop of another thread, {name}"
    return f"the event loop {name}, which {'is closed' if loop.is_closed() else 'does not run now'}"


def bound_elsewhere(app: str, loop: AbstractEventLoop) -> AppNotStartedError:
    """Return the error of a use in another loop than `loop`, which still has something of the app in it."""
    if loop.is_closed():
        fix = "nobody has shut it down there; start it again in this loop, with `async with app:`"
    elif loop.is_running():
        fix = "await its invocations there: from another thread, call its tasks, and read `invocation.result`"
    else:
        fix = (
            "use it there, or shut it down there (`await app.shutdown()`) before another loop uses it; in tests, let "
            "fixtures and tests share one loop"
        )
    return AppNotStartedError(f"{app} is bound to {describe_loop(loop)}: {fix}")
