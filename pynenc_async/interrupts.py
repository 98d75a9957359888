"""What is to end the program, and comes while it is in the midst of something else."""

from asyncio.events import _get_running_loop
from typing import NoReturn


def raise_soon(error: BaseException) -> None:
    """Raise `error` so that it ends the program, and breaks off no decision: in an event loop by a callback of its own."""
    loop = _get_running_loop()
    if loop is None:
        raise error
    loop.call_soon(_raise, error)


def _raise(error: BaseException) -> NoReturn:
    raise error
