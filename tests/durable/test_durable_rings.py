"""A ring of invocations that wait for one another in several processes is broken, as one within a process is."""

import asyncio

import pytest
from helpers import S, assert_lawful
from ring_party import Party, assert_broken, assert_broken_once, one_by_one, outcome, outcomes, the_refusal, until

from pynenc_async import CycleDetectedError, DistributedInvocation, InvocationCancelledError, Pynenc


async def by_wait(handles):
    for handle in handles:
        await handle.wait()
        handle.result  # noqa: B018


async def by_gather(handles):
    await asyncio.gather(*handles)


async def by_task_group(handles):
    try:
        async with asyncio.TaskGroup() as group:
            for handle in handles:
                group.create_task(one_by_one([handle]))
    except* CycleDetectedError as errors:
        raise errors.exceptions[0] from None


async def in_a_spawned_task(handles):
    task = asyncio.create_task(one_by_one(handles))
    await asyncio.wait([task])
    task.result()


WAYS = [one_by_one, by_wait, by_gather, by_task_group, in_a_spawned_task]


@pytest.fixture
def make_party(world):
    return lambda count, **options: Party([world.app(**options) for _ in range(count)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [2, 3])
async def test_a_ring_through_processes_is_broken_once(make_party, size, way):
    async with make_party(size) as party:
        ring = [party.submit(n, f"m{n}", f"m{(n + 1) % size}", way=way) for n in range(size)]
        await party.go()
        errors = await outcomes(*ring)
        assert_broken_once(errors)
        path = errors[0].path
        assert path[0] == path[-1]
        assert sorted(path[1:]) == sorted(f"{party.apps[0].member.task_id}('m{n}')" for n in range(size))
        for one in ring:
            assert one.status is S.FAILED
            assert_lawful(one)


async def test_a_ring_may_pass_through_several_bodies_of_each_process(make_party):
    async with make_party(3, max_concurrency=1) as party:
        names = [f"{place}{step}" for place in "012" for step in "abc"]
        nexts = names[1:] + names[:1]
        ring = [party.submit(int(name[0]), name, other) for name, other in zip(names, nexts, strict=True)]
        await party.go()
        errors = await outcomes(*ring)
        assert_broken_once(errors)
        assert len(errors[0].path) == len(names) + 1


async def test_those_who_wait_for_a_ring_are_not_refused_and_all_others_go_on(make_party):
    async with make_party(2) as party:
        ring = [party.submit(0, "a", "b"), party.submit(1, "b", "a")]
        outside = [party.submit(0, "c", "b"), party.submit(1, "d", "c", "fine")]
        fine = [party.submit(1, "fine", "end"), party.submit(0, "end")]
        await party.go()
        assert_broken_once(await outcomes(*ring, *outside))
        assert await outcomes(*fine) == [None, None]


async def test_all_rings_that_share_a_body_are_broken(make_party):
    async with make_party(3) as party:
        shared = party.submit(0, "shared", "b", "c", way=by_gather)
        others = [party.submit(1, "b", "shared"), party.submit(2, "c", "shared")]
        await party.go()
        assert_broken(await outcomes(shared, *others))


async def test_bodies_in_threads_that_read_results_are_told_too(make_party):
    def read(handles):
        return [handle.result for handle in handles]

    async with make_party(2) as party:
        for place, name, other in (0, "a", "b"), (1, "b", "a"):
            party.add(name, party.apps[place].in_thread(name), other, way=read)
        await party.go()
        assert_broken_once(await outcomes(party.get(party.apps[0], "a"), party.get(party.apps[1], "b")))


async def read_as_completed(app, group):
    async for _ in group:
        pass


async def read_in_order(app, group):
    async for _ in group.in_order():
        pass


async def read_all(app, group):
    await group


@pytest.mark.parametrize("read", [read_as_completed, read_in_order, read_all])
async def test_a_ring_may_pass_through_the_reader_of_a_group(make_party, read):
    async with make_party(2) as party:
        reader = party.submit(0, "reader")
        party.bodies["reader"] = lambda app: read(app, app.member.parallelize([("m0",), ("m1",)]))
        for name in ("m0", "m1"):
            party.bodies[name] = lambda app: party.get(app, "other")
        other = party.submit(1, "other", "reader")
        await party.go()
        assert_broken(await outcomes(reader, other))


async def test_and_through_the_reader_of_a_stream(make_party):
    async def read(app):
        async for _ in app.stream("source").stream():
            pass

    async with make_party(2) as party:
        reader = party.submit(0, "reader")
        party.bodies |= {"reader": read, "source": lambda app: party.get(app, "other")}
        other = party.submit(1, "other", "reader")
        await party.go()
        errors = await outcomes(reader, other)
        assert isinstance(errors[1], CycleDetectedError)


def by_a_thread_of_its_own(party, app):
    return asyncio.to_thread(lambda: party.get(app, "other").result)


def by_a_restored_handle(party, app):
    return DistributedInvocation.from_json(app, party.other.to_json())


async def by_updates(party, app):
    async for _ in party.get(app, "other").updates():
        pass
    await party.get(app, "other")


@pytest.mark.parametrize("way", [by_a_thread_of_its_own, by_a_restored_handle, by_updates])
async def test_however_a_body_has_come_to_its_handle_and_waits(make_party, way):
    async with make_party(2) as party:
        one = party.submit(0, "one")
        party.bodies["one"] = lambda app: way(party, app)
        party.other = party.submit(1, "other", "one")
        await party.go()
        assert_broken_once(await outcomes(one, party.other))


async def test_who_awaits_a_duplicate_of_a_call_awaits_the_one_that_stands(make_party):
    async with make_party(2) as party:
        standing = party.add("standing", party.apps[0].unique("standing"), "other")
        await standing.accepted()
        other = party.submit(1, "other")
        party.bodies["other"] = lambda app: app.unique("standing")
        await party.go()
        assert_broken_once(await outcomes(standing, other))


async def test_a_ring_may_pass_through_one_who_waits_for_room(make_party):
    async with make_party(2, max_queued=1) as party:
        holder = party.add("holder", party.apps[0].limited("x", "holder"), "other")
        await until(holder, S.RUNNING)
        other, asking = party.submit(1, "other", "asking"), party.submit(0, "asking")
        await until(asking, S.RUNNING)

        async def ask(app):
            party.add("held", app.limited("x", "held"))
            await app.member.submit("held")

        party.bodies["asking"] = ask
        await party.go()
        assert_broken_once(await outcomes(holder, other))
        assert len((await outcome(other)).path) == 5


async def test_limits_that_two_processes_hold_crosswise_are_a_ring(make_party):
    async with make_party(2) as party:
        a = party.add("a", party.apps[0].limited("x", "a"))
        b = party.add("b", party.apps[1].limited("y", "b"))
        party.bodies |= {"a": lambda app: app.limited("y", "c"), "b": lambda app: app.limited("x", "c")}
        party.bodies["c"] = lambda app: asyncio.sleep(0)
        await party.go()
        path = the_refusal(await outcomes(a, b)).path
        assert len(path) == 5
        assert sum("[waits for a running_limit]" in name for name in path) == 2


async def test_so_is_a_total_that_bodies_of_several_processes_fill_who_call_for_more(make_party):
    async with make_party(2) as party:
        a, b = (party.add(name, app.few(name)) for name, app in zip("ab", party.apps, strict=True))
        party.bodies |= {name: lambda app: app.few("c") for name in "ab"}
        party.bodies["c"] = lambda app: asyncio.sleep(0)
        await party.go()
        assert "[waits for a running_limit]" in str(the_refusal(await outcomes(a, b)))


async def test_so_is_one_who_waits_from_afar_for_what_waits_for_a_limit_of_its_own_process(make_party):
    async with make_party(2) as party:
        holder = party.add("holder", party.apps[0].limited("x", "holder"), "other")
        await until(holder, S.RUNNING)
        held = party.add("held", party.apps[0].limited("x", "held"))
        other = party.submit(1, "other", "held")
        await party.go()
        errors = await outcomes(holder, other)
        assert isinstance(errors[0] or errors[1], CycleDetectedError)
        assert await held == "held"


async def test_a_task_may_switch_the_check_off_and_then_another_of_the_ring_is_refused(make_party):
    async with make_party(2) as party:
        a = party.submit(0, "a", "b")
        b = party.add("b", party.apps[1].unchecked("b"), "a")
        await party.go()
        errors = await outcomes(a, b)
        assert_broken_once(errors)
        assert "member('a')" in errors[0].path[0]


@pytest.mark.virtual
async def test_where_all_have_switched_it_off_they_wait(make_party):
    async with make_party(2) as party:
        for place, name, other in (0, "a", "b"), (1, "b", "a"):
            party.add(name, party.apps[place].unchecked(name), other)
        a, b = party.get(party.apps[0], "a"), party.get(party.apps[1], "b")
        await party.go()
        await asyncio.sleep(60)
        assert (a.status, b.status) == (S.PAUSED, S.PAUSED)
        await a.cancel("enough")
        assert isinstance(await outcome(b), InvocationCancelledError)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
async def test_on_a_file_too(tmp_path, count):
    async with Party([Pynenc(f"sqlite:///{tmp_path}/jobs.db") for _ in range(count)]) as party:
        ring = [party.submit(n % count, f"m{n}", f"m{(n + 1) % 5}") for n in range(5)]
        a = party.add("a", party.apps[0].limited("x", "a"))
        b = party.add("b", party.apps[1].limited("y", "b"))
        party.bodies |= {"a": lambda app: app.limited("y", "c"), "b": lambda app: app.limited("x", "c")}
        party.bodies["c"] = lambda app: asyncio.sleep(0)
        await party.go()
        assert_broken_once(await outcomes(*ring))
        the_refusal(await outcomes(a, b))
