"""pynenc on its memory backend, tuned: a runner in a thread of this process that never sleeps, wide, with plain JSON.

`def` bodies, because a coroutine gets an event loop of its own there, which costs more. Its interval settings are all
zero; with the defaults one await takes 0.2 s.
"""

import threading
import warnings
from collections.abc import AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from pynenc import Pynenc  # type: ignore[import-untyped]  # it ships no types

from benchmarks.bodies import noop_in_thread
from benchmarks.cases import Workload
from benchmarks.contenders import Contender, Scenario, Step

_SETTINGS = {
    "app_id": "benchmarks",
    "broker_cls": "MemBroker",
    "orchestrator_cls": "MemOrchestrator",
    "state_backend_cls": "MemStateBackend",
    "serializer_cls": "JsonSerializer",
    "runner_cls": "ThreadRunner",
    "runner_loop_sleep_time_sec": 0.0,
    "invocation_wait_results_sleep_time_sec": 0.0,
    "cached_status_time": 0.0,
    "min_threads": 50,
    "max_threads": 50,
    "logging_level": "critical",
}


@cache
def _running_task() -> Any:
    """Its task, with the runner started: once per process, since stopping a runner is not part of any workload."""
    app = Pynenc(config_values=_SETTINGS)
    task = app.task(noop_in_thread)
    # It warns that signals are not handled outside the main thread.
    warnings.simplefilter("ignore")
    threading.Thread(target=app.runner.run, daemon=True).start()
    # The first result shows that the runner is up.
    task().result  # noqa: B018  # reading it waits
    return task


def _scenario(step_of: Callable[[Any, int], Step]) -> Scenario:
    @asynccontextmanager
    async def scenario(n: int, /) -> AsyncIterator[Step]:
        yield step_of(_running_task(), n)

    return scenario


def _fan_out(task: Any, n: int) -> Step:
    async def run() -> Sized:
        return list(task.parallelize([()] * n).results)

    return run


def _one(task: Any, _n: int) -> Step:
    async def step() -> object:
        return task().result

    return step


CONTENDER = Contender(
    label="pynenc, memory backend",
    distribution="pynenc",
    most=1_000,
    scenarios={
        Workload.FAN_OUT: _scenario(_fan_out),
        Workload.AWAIT_ONE: _scenario(_one),
        Workload.THREADS: _scenario(_fan_out),
    },
)
