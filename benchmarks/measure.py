"""The child: one contender, one workload, one process. Prints one line of JSON and ends.

Durations and latencies are wall time, with the garbage collector as Python sets it: what a program pays. It is emptied
before each repeat, so that no repeat pays for the one before.

Memory is counted by tracemalloc, not read as resident size. It sums what was asked of Python's allocators, to the byte
and reproducibly; the resident size moves in pages, keeps what was freed, and hides the first objects in old arenas. It
slows the run, which does not matter here, and misses what C libraries allocate on their own, which none of these do.

Fairness is counted, not timed. Of so many keys that all have work, the fair share of each is one body in a round of all
of them: the r-th body of a key begins after at most r rounds. What is reported is by how many bodies the worst was late.
"""

import argparse
import asyncio
import gc
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence, Sized
from typing import Any

from benchmarks import contenders
from benchmarks.cases import CASES, Kind
from benchmarks.contenders import Scenario

_FULL_WARM_UP = 10_000
_SMALL_WARM_UP = 100
_MOST_REPEATS = 50
_LONG_ENOUGH = 4.0
"""Seconds after which no repeat is added, even if fewer than wanted are done: a long run is its own average."""


def _check(kept: object, n: int) -> None:
    if not isinstance(kept, Sized) or len(kept) != n:
        found = len(kept) if isinstance(kept, Sized) else type(kept).__name__
        raise RuntimeError(f"the work was not done: expected {n} items, found {found}")


async def _duration(scenario: Scenario, n: int) -> dict[str, float]:
    async with scenario(n) as step:
        gc.collect()
        begin = time.perf_counter()
        kept = await step()
        elapsed = time.perf_counter() - begin
        _check(kept, n)
    return {"per_item": elapsed / n * 1e6}


async def _latency(scenario: Scenario, n: int) -> dict[str, float]:
    clock = time.perf_counter_ns
    samples = [0] * n
    async with scenario(n) as step:
        gc.collect()
        for index in range(n):
            begin = clock()
            await step()
            samples[index] = clock() - begin
    samples.sort()
    return {"p50": samples[n // 2] / 1e3, "p99": samples[n * 99 // 100] / 1e3}


async def _memory(scenario: Scenario, n: int) -> dict[str, float]:
    async with scenario(n) as step:
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        kept = await step()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        _check(kept, n)
    return {"per_item": (after - before) / n}


async def _excess(scenario: Scenario, n: int) -> dict[str, float]:
    async with scenario(n) as step:
        order: Any = await step()
        _check(order, n)
    return {"per_item": float(_latest(order))}


def _latest(order: Sequence[object]) -> int:
    """By how many bodies the key that was treated worst began later than its fair share."""
    keys, begun, worst = len(set(order)), Counter[object](), 0
    for before, key in enumerate(order):
        begun[key] += 1
        worst = max(worst, before - (begun[key] * keys - 1))
    return worst


_MEASURES = {Kind.DURATION: _duration, Kind.LATENCY: _latency, Kind.MEMORY: _memory, Kind.EXCESS: _excess}


async def _repeat(kind: Kind, scenario: Scenario, n: int, repeats: int, budget: float) -> list[dict[str, float]]:
    """Warm up, then measure at least `repeats` times, and more while `budget` seconds allow."""
    measure = _MEASURES[kind]
    if kind is Kind.MEMORY:
        # Once, and after a warm-up that is small: tables that have grown for an earlier repeat would not be counted.
        await measure(scenario, min(n, _SMALL_WARM_UP))
        return [await measure(scenario, n)]
    if kind is Kind.EXCESS:
        return [await measure(scenario, n)]
    await measure(scenario, n if n <= _FULL_WARM_UP else max(_FULL_WARM_UP, n // 10))
    found: list[dict[str, float]] = []
    begin = time.monotonic()
    while len(found) < _MOST_REPEATS:
        found.append(await measure(scenario, n))
        spent = time.monotonic() - begin
        if spent >= _LONG_ENOUGH or (spent >= budget and len(found) >= repeats):
            break
    return found


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if contenders.loop_of(name) == "asyncio":
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return factory


def _pin(cores: int) -> None:
    """Stay on the last `cores` of the allowed cores, where the system lets a process choose."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])


def _run(name: str, case_id: str, n: int, repeats: int, budget: float) -> dict[str, Any]:
    case = next(case for case in CASES if case.id == case_id)
    _pin(case.cores)
    scenario = contenders.load(name).scenarios[case.workload]
    with asyncio.Runner(loop_factory=_loop_factory(name)) as runner:
        found = runner.run(_repeat(case.kind, scenario, n, repeats, budget))
    medians = {metric: statistics.median(one[metric] for one in found) for metric in case.metrics}
    return {"repeats": len(found), "medians": medians}


def _describe(name: str) -> dict[str, Any]:
    """What the parent has to know of a contender before it plans the rounds."""
    try:
        contender = contenders.load(name)
        _loop_factory(name)
    except Exception as error:  # noqa: BLE001  # a rival that breaks on import must not end the run; its error is shown
        return {"label": name, "problem": _problem(error)}
    loop = contenders.loop_of(name)
    return {
        "label": contender.label if loop == "asyncio" else f"{contender.label} ({loop})",
        "distribution": contender.distribution,
        "version": _version(contender.distribution),
        "most": contender.most,
        "workloads": [str(workload) for workload in contender.scenarios],
    }


def _problem(error: Exception) -> str:
    # A part missing from a package that is there is a defect of that package, not the absence of it.
    if isinstance(error, ModuleNotFoundError) and error.name and "." not in error.name:
        return f"not installed ({error.name})"
    return f"{type(error).__name__}: {error}"


def _version(distribution: str | None) -> str | None:
    if distribution is None:
        return platform.python_version()
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None  # run from a clone


def _introduce() -> dict[str, Any]:
    return {
        "implementation": sys.implementation.name,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "contenders": {name: _describe(name) for name in contenders.names()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=__doc__)
    parser.add_argument("--describe", action="store_true", help="say which contenders there are, and measure nothing")
    parser.add_argument("--contender")
    parser.add_argument("--case")
    parser.add_argument("--size", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.5, help="seconds to go on repeating")
    given = parser.parse_args()
    measured = (given.contender, given.case, given.size, given.repeats, given.budget)
    answer = _introduce() if given.describe else _run(*measured)
    # The last line counts: rivals may have printed something before it.
    print(json.dumps(answer))
    sys.stdout.flush()
    # No rival's threads or exit hooks: what had to be measured is measured.
    os._exit(0)


if __name__ == "__main__":
    main()
