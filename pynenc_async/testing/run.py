"""The entry into the simulated world."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from pynenc_async.testing.virtual_loop import VirtualLoop

T = TypeVar("T")


def run(
    main: Callable[[], Coroutine[Any, Any, T]] | Coroutine[Any, Any, T],
    *,
    seed: int | None = None,
    debug: bool = False,
) -> T:
    """Run `main` to its end in a fresh `VirtualLoop`, as `asyncio.run` would, and return its result.

    `main` is an async function without parameters, or a coroutine. With a seed, what asyncio does not promise is
    shuffled: the same seed gives the same order, and many seeds find the order that breaks the program.
    """
    if asyncio._get_running_loop() is not None:
        if inspect.iscoroutine(main):
            main.close()  # or it would warn, later and elsewhere, that nobody awaited it
        raise RuntimeError("pynenc_async.testing.run() cannot be called while another event loop runs in this thread")
    with asyncio.Runner(debug=debug, loop_factory=partial(VirtualLoop, seed=seed)) as runner:
        return runner.run(main() if callable(main) else main)
