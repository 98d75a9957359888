"""Random programs over every store that is shipped: in step with the model, and lawful whatever was done."""

import asyncio

import pytest
from hypothesis import given, settings

from pynenc_async.store.memory import MemoryStore
from pynenc_async.testing import BrokenRuleError, MemoryStoreHarness
from pynenc_async.testing.store_checks.program import Commit, Register, Walk
from pynenc_async.testing.store_programs import run_store_program, store_programs

EXAMPLES = 100
RUN = settings(max_examples=EXAMPLES, deadline=None)


@RUN
@given(store_programs())
def test_memory(program):
    asyncio.run(run_store_program(MemoryStoreHarness, program))


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
