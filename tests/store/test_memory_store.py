"""What the store in memory offers to tests of others: death, lateness, faults, latency. The contract itself is in the suite."""

import asyncio

import pytest

from pynenc_async.errors import StoreError
from pynenc_async.status import InvocationStatus
from pynenc_async.store.memory import MemoryHub, MemoryStore
from pynenc_async.store.values import NewInvocation, Refusal, RefusalKind, Transition
from pynenc_async.testing import run

S = InvocationStatus
NOW = 1_700_000_000.0
TASKS = ["tests.work"]
STALE = Refusal(RefusalKind.STALE)


def new(invocation_id, **fields):
    steps = ((S.REGISTERED, NOW, 0, ""),)
    return NewInvocation(invocation_id=invocation_id, task_id=TASKS[0], arguments=b"{}", steps=steps, **fields)


def start(invocation_id):
    steps = ((S.PENDING, NOW, 1, ""), (S.RUNNING, NOW, 1, ""))
    return Transition(invocation_id=invocation_id, revision=1, steps=steps)


async def opened(hub, runner_id, **faults):
    store = MemoryStore(hub, **faults)
    await store.open(runner_id, lease_seconds=10)
    return store


async def test_a_killed_runner_writes_nothing_any_more():
    hub = MemoryHub()
    doomed, witness = await opened(hub, "doomed"), await opened(hub, "witness")
    doomed.kill()
    for ask in (doomed.commit([new("a")]), doomed.load(["a"]), doomed.claim(TASKS, 1, now=NOW), doomed.rejoin()):
        with pytest.raises(StoreError, match="was killed"):
            await ask
    with pytest.raises(StoreError, match="was killed"):
        doomed.peek("a")
    assert not doomed.alive
    assert witness.peek("a") is None


@pytest.mark.virtual
async def test_the_lease_of_a_killed_runner_runs_out_on_the_clock_of_the_loop():
    hub = MemoryHub()
    doomed, heir = await opened(hub, "doomed"), await opened(hub, "heir")
    await doomed.commit([new("a"), start("a")])
    doomed.kill()
    await asyncio.sleep(9.9)
    assert (await heir.recover(TASKS, now=NOW)).adopted == 0
    await asyncio.sleep(0.2)
    assert (await heir.recover(TASKS, now=NOW)).runners == ("doomed",)


async def test_a_death_that_is_noticed_needs_no_lease_to_run_out_and_rings():
    hub, rung = MemoryHub(), []
    doomed, heir = await opened(hub, "doomed"), await opened(hub, "heir")
    await doomed.commit([new("a"), start("a")])
    heir.listen(lambda: rung.append("heir"))
    assert not heir.notices_death()
    doomed.kill(is_noticed=True)
    assert rung == ["heir"]
    assert (heir.notices_death(), heir.notices_death()) == (True, False)
    recovery = await heir.recover(TASKS, now=NOW)
    assert (recovery.runners, recovery.adopted, recovery.interrupted) == (("doomed",), 1, 1)


@pytest.mark.virtual
async def test_a_stalled_runner_is_too_late_with_what_it_does():
    hub = MemoryHub()
    late, heir = await opened(hub, "late"), await opened(hub, "heir")
    await late.commit([new("a")])
    late.stall()
    assert late.alive
    await asyncio.sleep(10)
    assert not late.alive
    assert await late.commit([start("a")]) == [STALE]
    assert (await heir.recover(TASKS, now=NOW)).adopted == 1
    await late.rejoin()
    assert late.alive
    assert await late.commit([start("a")]) == [STALE]


async def test_a_hook_that_raises_before_a_commit_leaves_nothing_done():
    def fail(name, changes):
        if name == "commit" and changes[0].invocation_id == "a":
            raise StoreError("the disk is full")

    store = await opened(MemoryHub(), "runner", before=fail)
    with pytest.raises(StoreError, match="full"):
        await store.commit([new("a"), new("b")])
    assert await store.counts() == {}
    assert await store.commit([new("c")]) == [None]


async def test_a_runner_killed_before_a_commit_has_not_made_it_and_one_killed_after_it_has():
    for hook, made in (("before", False), ("after", True)):
        hub, doomed = MemoryHub(), None
        doomed = await opened(hub, "doomed", **{hook: lambda name, _: name == "commit" and doomed.kill()})  # noqa: B023
        witness = await opened(hub, "witness")
        with pytest.raises(StoreError, match="was killed"):
            await doomed.commit([new("a")])
        assert (witness.peek("a") is not None) is made


async def test_nothing_is_done_before_the_loop_has_turned():
    hub = MemoryHub()
    store, witness = await opened(hub, "runner"), await opened(hub, "witness")
    commit = asyncio.ensure_future(store.commit([new("a")]))
    assert witness.peek("a") is None
    await asyncio.sleep(0)
    assert not commit.done()
    await commit
    assert witness.peek("a") is not None


@pytest.mark.virtual
async def test_latency_passes_before_it_is_done_and_again_until_the_caller_knows():
    hub = MemoryHub()
    store, witness = await opened(hub, "runner", latency=lambda: 1.0), await opened(hub, "witness")
    began = asyncio.get_running_loop().time()
    commit = asyncio.ensure_future(store.commit([new("a")]))
    await asyncio.sleep(0.9)
    assert witness.peek("a") is None
    await asyncio.sleep(0.2)
    assert witness.peek("a") is not None
    assert not commit.done()
    await commit
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)


@pytest.mark.virtual
async def test_what_one_runner_asks_for_is_done_in_its_order_whatever_the_latency():
    delays = iter([0, 5.0, 0.0, 1.0, 1.0])
    store = await opened(MemoryHub(), "runner", latency=lambda: next(delays))
    begun = asyncio.Event()

    async def commit():
        begun.set()
        return await store.commit([new("a")])

    first = asyncio.ensure_future(commit())
    await begun.wait()
    assert await store.commit([start("a")]) == [None]
    assert first.done()


async def test_a_ring_into_a_loop_that_is_closed_harms_nobody():
    hub = MemoryHub()
    store, other = await opened(hub, "runner"), await opened(hub, "other")
    closed = asyncio.new_event_loop()
    closed.close()
    other.listen(lambda: closed.call_soon_threadsafe(print))
    assert await store.commit([new("a")]) == [None]


async def test_the_id_of_a_runner_is_not_used_twice():
    hub = MemoryHub()
    await (await opened(hub, "runner")).close()
    with pytest.raises(StoreError, match="'runner' is enrolled already"):
        await opened(hub, "runner")


async def test_a_store_is_opened_before_it_is_asked_and_not_after_it_is_closed():
    store = MemoryStore(MemoryHub())
    with pytest.raises(StoreError, match="has not been opened"):
        await store.counts()
    await store.open("runner", lease_seconds=10)
    with pytest.raises(StoreError, match="opened once"):
        await store.open("again", lease_seconds=10)
    await store.close()
    with pytest.raises(StoreError, match="has been closed"):
        await store.counts()


def test_the_runners_of_a_simulated_world_are_dead_in_the_next():
    hub = MemoryHub()

    async def first_life():
        store = await opened(hub, "first")
        await store.commit([new("a"), start("a")])

    async def second_life():
        store = await opened(hub, "second")
        recovery = await store.recover(TASKS, now=NOW)
        return recovery.adopted, [row.invocation_id for row in await store.claim(TASKS, 10, now=NOW)]

    run(first_life)
    assert run(second_life) == (1, ["a"])


def test_the_clock_of_a_hub_can_be_given():
    now = 0.0
    hub = MemoryHub(clock=lambda: now)

    async def live():
        await opened(hub, "first")

    async def next_live():
        nonlocal now
        second = await opened(hub, "second")
        assert (await second.recover(TASKS, now=NOW)).runners == ()

    run(live)
    run(next_live)


async def test_a_claim_that_no_one_may_change_is_what_is_handed_out():
    store = await opened(MemoryHub(), "runner")
    await store.commit([new("a", taken=False)])
    (claimed,) = await store.claim(TASKS, 1, now=NOW)
    with pytest.raises(AttributeError):
        claimed.taken = False
    history = store.history("a")
    history.clear()
    assert len(store.history("a")) == 1
