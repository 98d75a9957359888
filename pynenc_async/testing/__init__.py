"""Deterministic tests of asynchronous programs: virtual time, deadlock reports, seeded shuffling, forced interleavings.

`run(main)` is `asyncio.run` in a world where hours pass in milliseconds and nothing hangs; `run(main, seed=7)` also
shuffles what asyncio does not promise. `simulate(main, seed=7)` seeds `random` as well, tells how much virtual time has
passed, and says with a failure how to repeat it; `explore(main)` finds the seeds that fail. `wait_all_tasks_blocked()`
waits until nobody has anything to do, `Sequencer` decides who acts first, `now()` tells the virtual time of
day. None of these needs the runtime: any asyncio program can be tested so.

`check_store(make_harness)` proves that a store keeps the contract `pynenc_async.store.base`.
"""

from pynenc_async.testing.explore import Exploration, FailureGroup, explore
from pynenc_async.testing.memory_harness import MemoryStoreHarness
from pynenc_async.testing.quiescence import wait_all_tasks_blocked
from pynenc_async.testing.report import DeadlockError, StalledError, describe_tasks
from pynenc_async.testing.run import run
from pynenc_async.testing.sequencer import SequenceBrokenError, Sequencer
from pynenc_async.testing.simulate import Simulation, simulate
from pynenc_async.testing.store_checks.check import BrokenRuleError, StoreCheck
from pynenc_async.testing.store_checks.harness import StoreHarness
from pynenc_async.testing.store_checks.suite import STORE_CHECKS, StoreContractError, check_store
from pynenc_async.testing.time_of_day import now
from pynenc_async.testing.virtual_loop import VirtualLoop

__all__ = [
    "STORE_CHECKS",
    "BrokenRuleError",
    "DeadlockError",
    "Exploration",
    "FailureGroup",
    "MemoryStoreHarness",
    "SequenceBrokenError",
    "Sequencer",
    "Simulation",
    "StalledError",
    "StoreCheck",
    "StoreContractError",
    "StoreHarness",
    "VirtualLoop",
    "check_store",
    "describe_tasks",
    "explore",
    "now",
    "run",
    "simulate",
    "wait_all_tasks_blocked",
]
