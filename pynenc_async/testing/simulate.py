"""A whole program in the simulated world: once with one seed, or with many seeds to find those under which it fails.

What a seed decides: the order of everything that asyncio does not promise (see `shuffle`), the order in which threads do
their work, one piece after the other (see `thread_turns`), the runtime's own ties, and every draw from the global `random`,
which is seeded for the run and given its old state back afterwards. Nothing else outside of the run is touched, so
`time.time()` still tells the real time; `asyncio` and the runtime use virtual time.

What a seed does not decide: what threads do that run for longer than a moment, sockets, other processes, and the order in
which a `set` of strings iterates, unless `PYTHONHASHSEED` is set. A program that depends on none of these repeats exactly.
"""

import asyncio
import inspect
import random
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from pynenc_async.testing.virtual_loop import DEFAULT_PATIENCE, VirtualLoop

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation(Generic[T]):
    """How a simulated run went."""

    value: T
    """What `main` returned."""
    seed: int
    seconds: float
    """Virtual seconds from the beginning of `main` to its end."""


def simulate(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    debug: bool = False,
    patience: float = DEFAULT_PATIENCE,
) -> Simulation[T]:
    """Run `main`, an async function without parameters, to its end in virtual time; the same seed does the same again.

    What `main` raises is raised here, with a note that says how to repeat it. A program that can never go on raises
    `DeadlockError`. `patience`: real seconds without a sign of life from a thread or a socket until `StalledError`.

    Make the app inside of `main`. An app that is shared by many runs must be left with `async with app` in each of
    them: what one run leaves waiting, the next one would run.
    """
    with _seeded_random(seed), asyncio.Runner(debug=debug, loop_factory=_loop_factory(seed, patience)) as runner:
        loop = runner.get_loop()
        try:
            value = runner.run(_coroutine_of(main))
        except BaseException as error:
            error.add_note(_how_to_repeat(main, seed, loop.time()))
            raise
        return Simulation(value=value, seed=seed, seconds=loop.time())


def _loop_factory(seed: int, patience: float) -> Callable[[], asyncio.AbstractEventLoop]:
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("a simulation cannot be run while another event loop runs in this thread")
    return partial(VirtualLoop, seed=seed, patience=patience)


def _coroutine_of(main: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
    given: object = main
    if inspect.iscoroutine(given):
        given.close()  # or it would warn, later and elsewhere, that nobody awaited it
    elif inspect.iscoroutine(made := main()):
        return made
    raise TypeError(f"a simulation needs an async function without parameters, not {main!r}: it may be run again")


@contextmanager
def _seeded_random(seed: int) -> Generator[None]:
    state = random.getstate()
    random.seed(f"random of seed {seed}")  # hashed in full, the same in every process
    try:
        yield
    finally:
        random.setstate(state)


def _how_to_repeat(main: Callable[..., object], seed: int, seconds: float) -> str:
    name = f"{getattr(main, '__module__', '?')}.{getattr(main, '__qualname__', repr(main))}"
    return (
        f"simulated with seed {seed}, at virtual time {seconds:.6f}; to repeat it exactly: "
        f"pynenc_async.testing.simulate({name}, seed={seed})"
    )
