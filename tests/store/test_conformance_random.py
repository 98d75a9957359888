"""Random programs over every store that is shipped: in step with the model, and lawful whatever was done."""

import asyncio

import pytest
from helpers import examples
from hypothesis import given, settings
from store_harnesses import HARNESSES

from pynenc_async.store.memory import MemoryStore
from pynenc_async.testing import BrokenRuleError, MemoryStoreHarness
from pynenc_async.testing.store_checks.program import Commit, Register, Walk
from pynenc_async.testing.store_programs import run_store_program, store_programs

RUN = settings(max_examples=examples(30), deadline=None)
SOAK = settings(max_examples=1_000, deadline=None)
PROGRAMS = store_programs(operations=25)


@pytest.mark.slow
@pytest.mark.parametrize("make_harness", HARNESSES)
@RUN
@given(PROGRAMS)
def test_random_programs(make_harness, program):
    asyncio.run(run_store_program(make_harness, program))


@pytest.mark.soak
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("make_harness", HARNESSES)
@SOAK
@given(store_programs(operations=60))
def test_many_long_random_programs(make_harness, program):
    asyncio.run(run_store_program(make_harness, program))


class Limitless(MemoryStore):
    """Forgets who holds a permit."""

    async def commit(self, changes):
        self._hub.tables.holders.clear()
        return await super().commit(changes)


class LimitlessHarness(MemoryStoreHarness):
    store_type = Limitless


async def test_a_program_finds_a_limit_that_does_not_hold_and_says_where():
    start = (0, 0)  # PENDING, RUNNING
    program = [
        Commit(0, (Register(0), Register(1))),
        Commit(0, (Walk(0, start, permits=("one",)),)),
        Commit(0, (Walk(1, start, permits=("one",)),)),
    ]
    await run_store_program(MemoryStoreHarness, program)
    with pytest.raises(BrokenRuleError) as caught:
        await run_store_program(LimitlessHarness, program)
    assert "in step 3" in caught.value.__notes__[0]
