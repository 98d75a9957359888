"""Whatever a workflow consists of, and wherever it fails: it comes to its end, and no step succeeds twice."""

import asyncio
from collections import Counter

import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import Pynenc, workflow
from pynenc_async.testing import simulate

FAILURES = st.sampled_from([1, 0, 2])
OPERATIONS = st.one_of(
    st.tuples(st.just("step"), FAILURES),
    st.tuples(st.just("caught"), FAILURES),
    st.tuples(st.just("undone"), FAILURES),
    st.tuples(st.just("parallel"), st.lists(FAILURES, min_size=1, max_size=4)),
    st.tuples(st.just("drawn"), st.just(0)),
    st.tuples(st.just("flaky"), FAILURES),
)


class StepError(Exception):
    pass


class World:
    """An app whose steps fail as often as planned, and a body that interprets a program."""

    def __init__(self, program):
        self.program = program
        self.failures = Counter()
        self.planned = {}
        self.succeeded = Counter()
        self.drawn = {}
        self.attempts = 0
        self.app = Pynenc()
        self.step = self.app.task(self._step)
        self.step_in_thread = self.app.task(self._step_in_thread)
        self.body = self.app.task(workflow=True, max_retries=1_000, retry_delay=1)(self._body)

    def _once(self, name, failures):
        if self.failures[name] < failures:
            self.failures[name] += 1
            raise StepError(name)

    async def _step(self, name, failures):
        await asyncio.sleep(1)
        self._once(name, failures)
        self.succeeded[name] += 1
        return name

    def _step_in_thread(self, name, failures):
        self._once(name, failures)
        self.succeeded[name] += 1
        return name

    async def _body(self):
        self.attempts += 1
        for index, (operation, planned) in enumerate(self.program):
            await getattr(self, f"_do_{operation}")(str(index), planned)
        return "done"

    async def _do_step(self, name, failures):
        assert await self.step(name, failures) == name

    async def _do_caught(self, name, failures):
        try:
            await self.step(name, failures)
        except StepError:
            await self.step_in_thread(f"instead of {name}", 0)

    async def _do_undone(self, name, failures):
        try:
            await self.step_in_thread(name, failures)
        except StepError:
            await self.step(f"undo {name} after {self.failures[name]}", 0)
            raise

    async def _do_parallel(self, name, failures):
        handles = [self.step(f"{name}.{number}", count) for number, count in enumerate(failures)]
        await asyncio.gather(*handles)

    async def _do_drawn(self, name, _):
        value = workflow.uuid4(), workflow.random(), workflow.now()
        assert self.drawn.setdefault(name, value) == value

    async def _do_flaky(self, name, failures):
        self._once(name, failures)


@pytest.mark.slow
@given(program=st.lists(OPERATIONS, min_size=2, max_size=8), seed=st.integers(0, 1_000))
@settings(max_examples=examples(400), deadline=None)
def test_a_workflow_comes_to_its_end_and_no_step_succeeds_twice(program, seed):
    async def main():
        world = World(program)
        async with world.app:
            assert await world.body() == "done"
        return world

    world = simulate(main, seed=seed).value
    assert all(count == 1 for count in world.succeeded.values())
