"""Chooses the event loops of `async def test_*`, and holds each of these tests to a clean end.

pytest-asyncio runs them, each on a fresh loop. They need no mark: asyncio is the loop, and the virtual loop where a test is
marked `virtual` because it needs virtual time. `--loop` chooses another one, or all. `--seeds=N` repeats the virtual loop
with the seeds 0 to N-1.

An async test also fails when it leaves a task behind, or when its loop reports an exception that nobody retrieved. A
test that provokes such a report on purpose sets its own handler on the running loop.
"""

import asyncio
import functools
import gc
import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from pynenc_async.testing import DeadlockError, StalledError, VirtualLoop, describe_tasks

LOOPS = ("asyncio", "asyncio-debug", "uvloop", "virtual", "eager")
COMPLAINTS = pytest.StashKey[list[str]]()
TURNS_TO_SETTLE = 10  # a task that ends by itself within so many turns of the loop was not left behind

# How long an example takes says how busy the machine is, and nothing about what is under test.
settings.register_profile("whole", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("whole"), max_examples=20)

LoopFactories = dict[str, Callable[[], asyncio.AbstractEventLoop]]


class DebugLoop(asyncio.SelectorEventLoop):
    """A loop that stays in debug mode: pytest-asyncio sets the mode of all loops alike."""

    def set_debug(self, _: object) -> None:
        super().set_debug(True)


def new_eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def new_uvloop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415  # an extra

    return uvloop.new_event_loop()


def virtual_loops(seeds: int) -> LoopFactories:
    if not seeds:
        return {"virtual": VirtualLoop}
    return {f"virtual-seed{seed}": functools.partial(VirtualLoop, seed=seed) for seed in range(seeds)}


def loops_called(name: str, seeds: int) -> LoopFactories:
    """Return the factories of this name; none when the loop is not to be had here."""
    loops: dict[str, LoopFactories] = {
        "asyncio": {name: asyncio.new_event_loop},
        "asyncio-debug": {name: DebugLoop},
        "uvloop": {name: new_uvloop} if find_spec("uvloop") else {},
        "virtual": virtual_loops(seeds),
        "eager": {name: new_eager_loop} if sys.version_info >= (3, 12) else {},
    }
    return loops[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("loops", "event loops of the async tests")
    group.addoption(
        "--loop",
        choices=(*LOOPS, "all"),
        help="the loop of the async tests (default: asyncio, and virtual for those that need virtual time)",
    )
    group.addoption("--seeds", type=int, default=0, metavar="N", help="run the virtual loop with the seeds 0 to N-1")


@pytest.hookimpl(tryfirst=True)  # hypothesis follows, with --hypothesis-profile
def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("quick" if "not slow" in config.getoption("markexpr") else "whole")
    config.addinivalue_line("markers", "virtual: needs virtual time; runs on the virtual loop only")
    loop = config.getoption("--loop")
    if loop not in {None, "all"} and not loops_called(loop, 0):
        raise pytest.UsageError(f"--loop={loop} is not available in this Python {sys.version.split()[0]}")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> LoopFactories:
    chosen, seeds = config.getoption("--loop"), config.getoption("--seeds")
    if item.get_closest_marker("virtual"):
        return virtual_loops(seeds)
    names = LOOPS if chosen == "all" else (chosen or "asyncio",)
    return {key: factory for name in names for key, factory in loops_called(name, seeds).items()}


def pytest_itemcollected(item: pytest.Item) -> None:
    chosen = item.config.getoption("--loop")
    if item.get_closest_marker("virtual") and chosen not in {None, "all", "virtual"}:
        item.add_marker(pytest.mark.skip(reason=f"needs virtual time, not --loop={chosen}"))


def pytest_collection_finish() -> None:
    freeze()


def freeze() -> None:
    """Let no test that collects garbage look through what pytest, hypothesis and earlier modules hold."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    __tracebackhide__ = True
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.obj = to_a_clean_end(item.obj, item.stash.setdefault(COMPLAINTS, []))
    try:
        yield
    except (DeadlockError, StalledError) as error:
        pytest.fail(str(error), pytrace=False)  # the traceback would show the loop, the message shows the tasks
    fail_of_complaints(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    yield
    if nextitem is not None and nextitem.path != item.path:
        freeze()
    fail_of_complaints(item)  # of the loop while it closed


def fail_of_complaints(item: pytest.Item) -> None:
    complaints = item.stash.get(COMPLAINTS, [])
    if complaints:
        message = "\n".join(["the loop reported:", *complaints])
        complaints.clear()
        pytest.fail(message, pytrace=False)


def to_a_clean_end(test: Callable[..., Awaitable[None]], complaints: list[str]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def run(**arguments: Any) -> None:
        __tracebackhide__ = True
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(complaint(context)))
        await test(**arguments)
        for _ in range(TURNS_TO_SETTLE):
            if not leftovers():
                return
            await asyncio.sleep(0)
        if left := leftovers():
            pytest.fail(f"the test left tasks behind:\n{describe_tasks(left)}", pytrace=False)

    return run


def leftovers() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def complaint(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"{context['message']}\n{''.join(traceback.format_exception(error)) if error else context}"
