"""Runs every `async def test_*` on every event loop, and holds it to a clean end.

There is nothing to mark and no plugin to learn: a coroutine test becomes one test per loop. `--loop` selects the loops,
`--seeds=N` repeats the virtual one with the seeds 0 to N-1. `@pytest.mark.virtual` says that a test needs virtual time.
Async fixtures do not exist: an `async with` in the test shows the same thing in the open.

An async test also fails when it leaves a task behind, or when its loop reports an exception that nobody retrieved. A
test that provokes such a report on purpose sets its own handler on the running loop.
"""

import asyncio
import inspect
import sys
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from pynenc_async.testing import DeadlockError, StalledError, VirtualLoop, describe_tasks

LOOPS = ("asyncio", "asyncio-debug", "uvloop", "virtual", "eager")
# How long an example takes says how busy the machine is, and nothing about what is under test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

TURNS_TO_SETTLE = 10  # a task that ends by itself within so many turns of the loop was not left behind


@dataclass(frozen=True)
class LoopCase:
    """One way to run an async test."""

    name: str
    new_loop: Callable[[], asyncio.AbstractEventLoop]
    debug: bool = False


def new_eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def new_uvloop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415  # an extra

    return uvloop.new_event_loop()


def virtual_cases(seeds: int) -> list[LoopCase]:
    if not seeds:
        return [LoopCase("virtual", VirtualLoop)]
    return [LoopCase(f"virtual-seed{seed}", partial(VirtualLoop, seed=seed)) for seed in range(seeds)]


def cases_of(loop: str, seeds: int) -> list[LoopCase]:
    """Return how to run on this loop; nothing when it is not to be had here."""
    cases = {
        "asyncio": [LoopCase("asyncio", asyncio.new_event_loop)],
        "asyncio-debug": [LoopCase("asyncio-debug", asyncio.new_event_loop, debug=True)],
        "uvloop": [LoopCase("uvloop", new_uvloop)] if find_spec("uvloop") else [],
        "virtual": virtual_cases(seeds),
        "eager": [LoopCase("eager", new_eager_loop)] if sys.version_info >= (3, 12) else [],
    }
    return cases[loop]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("loops", "event loops of the async tests")
    group.addoption("--loop", choices=(*LOOPS, "all"), default="all", help="the loop of the async tests (default: all)")
    group.addoption("--seeds", type=int, default=0, metavar="N", help="run the virtual loop with the seeds 0 to N-1")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual: needs virtual time; runs on the virtual loop only")
    loop = config.getoption("--loop")
    if loop != "all" and not cases_of(loop, 0):
        raise pytest.UsageError(f"--loop={loop} is not available in this Python {sys.version.split()[0]}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not inspect.iscoroutinefunction(metafunc.function):
        return
    chosen, seeds = metafunc.config.getoption("--loop"), metafunc.config.getoption("--seeds")
    loops = LOOPS if chosen == "all" else (chosen,)
    params: list[Any] = [case for loop in loops for case in cases_of(loop, seeds)]
    if metafunc.definition.get_closest_marker("virtual"):
        skip = [] if "virtual" in loops else [pytest.mark.skip(reason=f"needs virtual time, not --loop={chosen}")]
        params = [pytest.param(case, marks=skip) for case in virtual_cases(seeds)]
    # The test does not ask for the loop, so pytest must be told that it depends on it.
    metafunc.fixturenames.append("loop_case")
    metafunc.parametrize("loop_case", params, ids=lambda case: case.name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "soak" in config.getoption("markexpr"):
        return
    soaks = [item for item in items if item.get_closest_marker("soak")]
    if soaks:
        config.hook.pytest_deselected(items=soaks)
        items[:] = [item for item in items if item not in soaks]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    run_test(test(**arguments), pyfuncitem.callspec.params["loop_case"])
    return True


def run_test(test: Coroutine[Any, Any, None], case: LoopCase) -> None:
    __tracebackhide__ = True
    complaints: list[str] = []
    try:
        with asyncio.Runner(debug=case.debug, loop_factory=case.new_loop) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: complaints.append(complaint(context)))
            runner.run(without_leftovers(test))
    except (DeadlockError, StalledError) as error:
        pytest.fail(str(error), pytrace=False)  # the traceback would show the loop, the message shows the tasks
    if complaints:
        pytest.fail("\n".join(["the loop reported:", *complaints]), pytrace=False)


async def without_leftovers(test: Coroutine[Any, Any, None]) -> None:
    __tracebackhide__ = True
    await test
    for _ in range(TURNS_TO_SETTLE):
        if not leftovers():
            return
        await asyncio.sleep(0)
    if left := leftovers():
        pytest.fail(f"the test left tasks behind:\n{describe_tasks(left)}", pytrace=False)


def leftovers() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def complaint(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"{context['message']}\n{''.join(traceback.format_exception(error)) if error else context}"
