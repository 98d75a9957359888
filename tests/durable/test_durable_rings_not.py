"""What is no ring across processes, or is one no more, is not refused; and what waits in one process alone costs nothing."""

import asyncio
import random

import pytest
from durable_world import World
from helpers import S
from ring_party import PATIENCE, Party, outcome, outcomes

from pynenc_async import CancelOutcome, CycleDetectedError
from pynenc_async.store.values import WaitChange

pytestmark = pytest.mark.virtual


async def test_a_long_chain_is_no_ring(world):
    async with Party([world.app(max_concurrency=1) for _ in range(3)]) as party:
        chain = [party.submit(n % 3, f"m{n}", f"m{n + 1}", "last") for n in range(20)]
        party.submit(0, "m20", "last")
        party.submit(1, "last")
        await party.go()
        assert await outcomes(*chain) == [None] * 20


async def test_a_wait_that_was_given_up_closes_no_ring_though_the_store_hears_of_it_late(world):
    slow = {"latency": lambda: 5.0}
    async with Party([world.app(**slow), world.app()]) as party:
        hasty, late, gave_up = party.submit(0, "hasty"), party.submit(1, "late"), asyncio.Event()

        async def give_up(app):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(party.get(app, "late"), 100)
            gave_up.set()
            await asyncio.sleep(50)

        async def begin_then(app):
            await gave_up.wait()
            await party.get(app, "hasty")

        party.bodies |= {"hasty": give_up, "late": begin_then}
        await party.go()
        assert await outcomes(hasty, late) == [None, None]


async def test_what_a_lost_process_waited_for_counts_no_more(world):
    async with Party([world.app(), world.app()]) as party:
        lost, attempts = party.submit(1, "lost"), []
        a = party.submit(0, "a")

        async def once(app):
            attempts.append(app)
            if len(attempts) == 1:
                await party.get(app, "a")

        async def await_lost(app):
            await asyncio.sleep(5)
            world.stores[1].stall()
            await asyncio.sleep(20)
            await party.get(app, "lost")

        party.bodies |= {"lost": once, "a": await_lost}
        await party.go()
        assert await outcome(a) is None
        assert len(attempts) == 2
        assert lost.status is S.SUCCESS


async def test_whoever_waits_for_the_end_of_what_it_cancels_is_in_no_ring(world):
    async with Party([world.app(), world.app()]) as party:
        a = party.submit(0, "a")
        victim = party.submit(1, "victim", "a")
        found = []

        async def cancel(app):
            await asyncio.sleep(1)
            found.append(await party.get(app, "victim").cancel("enough"))

        party.bodies["a"] = cancel
        await party.go()
        assert await outcome(a) is None
        assert found == [CancelOutcome.STOPPED]
        assert victim.status is S.CANCELLED


async def test_a_body_that_has_caught_the_refusal_goes_on_and_so_do_the_others(world):
    async with Party([world.app(), world.app()]) as party:
        refused = []

        def tolerant(other):
            async def run(app):
                try:
                    await party.get(app, other)
                except CycleDetectedError as error:
                    refused.append(error)

            return run

        a, b = party.submit(0, "a"), party.submit(1, "b")
        party.bodies |= {"a": tolerant("b"), "b": tolerant("a")}
        await party.go()
        assert await outcomes(a, b) == [None, None]
        assert len(refused) == 1


async def test_of_waits_that_do_not_leave_the_process_the_store_hears_nothing(world):
    said = []

    def before(_name, changes):
        said.extend(change for change in changes if isinstance(change, WaitChange))

    async with Party([world.app(before=before), world.app(before=before)]) as party:
        for app in party.apps:

            @app.task
            async def tree(place: int, depth: int) -> int:
                if not depth:
                    return 1
                await party.apps[place].limited(f"{depth}", "nothing")
                return sum(await party.apps[place].tree.parallelize([(place, depth - 1)] * 2))

            app.tree = tree
        party.bodies["nothing"] = lambda app: asyncio.sleep(1)
        party.gate.open()
        for place, app in enumerate(party.apps):
            assert await app.tree(place, 3) == 8
        assert said == []
        elsewhere = party.apps[1].tree(1, 2)
        await elsewhere.accepted()
        party.submit(0, "outside")
        party.bodies["outside"] = lambda app: app.get_invocation(elsewhere.invocation_id)
        assert await outcome(party.get(party.apps[0], "outside")) is None
        assert said


class Plan:
    """What some bodies do, at random: they wait for one another, for a while or as long as it takes, in several ways."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = [f"m{n}" for n in range(self.random.randint(2, 8))]
        self.has_rings = self.random.random() < 0.7
        self.refused = []

    def app(self, world):
        delays = self.random.choice([(None,), (None, 0.0, 0.01, 0.1), (0.05,)])
        return world.app(
            latency=lambda: self.random.choice(delays), max_concurrency=self.random.choice([1, 2, 50]), drain_seconds=1
        )

    def submit(self, party, place, name):
        app, key = party.apps[place], self.random.choice("xyz")
        handle = app.limited(key, name) if self.has_rings and self.random.random() < 0.4 else app.member(name)
        party.add(name, handle)
        later = self.names[self.names.index(name) + 1 :]
        others = [other for other in self.names if other != name] if self.has_rings else later
        steps = [
            (self.random.choice([0, 0.01, 1]), self.random.choice([None, None, 0.01, 1, 5]), self._some(others))
            for _ in range(self.random.randint(0, 2))
        ]
        party.bodies[name] = lambda app: self._run(party, app, steps)
        return handle

    def _some(self, others):
        return self.random.sample(others, self.random.randint(0, min(2, len(others))))

    async def _run(self, party, app, steps):
        for delay, patience, others in steps:
            await asyncio.sleep(delay)
            try:
                async with asyncio.timeout(patience):
                    await asyncio.gather(*(party.get(app, other) for other in others))
            except TimeoutError:
                pass
            except CycleDetectedError as error:
                self.refused.append(error)
                raise


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_waits_for_whatever_all_ends_and_without_a_ring_nothing_is_refused(seed):
    world, plan = World(), Plan(seed)
    async with Party([plan.app(world) for _ in range(plan.random.randint(2, 3))]) as party:
        handles = [plan.submit(party, plan.random.randrange(len(party.apps)), name) for name in plan.names]
        await party.go()
        await outcomes(*handles)
        assert asyncio.get_running_loop().time() < PATIENCE / 10
        assert plan.has_rings or not plan.refused
