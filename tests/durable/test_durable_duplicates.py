"""Two processes make the same unique call at the same moment: one is registered, and both handles are handles to it."""

import asyncio

import pytest
from durable_world import World
from helpers import S

from pynenc_async import (
    ConcurrencyLimitError,
    DistributedInvocation,
    InvocationCancelledError,
    InvocationNotFoundError,
    Rate,
    ReusedInvocation,
    StreamTruncatedError,
)
from pynenc_async.store.values import Retention

pytestmark = pytest.mark.virtual


class Pair:
    """Two apps on one store, each with the same unique task, and what they run."""

    def __init__(self, app_options=None, **options):
        self.world = World()
        self.apps = [self.world.app(**app_options or {}) for _ in range(2)]
        self.ran = []
        stands = {} if "unique_for" in options else {"unique_until": "finished"}
        options = {"registration_concurrency": "keys", "key_arguments": "key"} | stands | options

        async def pay(key: str, amount: int = 0) -> str:
            self.ran.append(key)
            await asyncio.sleep(10)
            if key == "bad":
                raise ValueError(key)
            return f"paid {key}"

        self.tasks = [app.task(**options)(pay) for app in self.apps]

    async def __aenter__(self):
        for app in self.apps:
            await app.start()
        return self

    async def __aexit__(self, *error):
        for app in self.apps:
            await app.shutdown(0)

    def race(self, *calls):
        """Let both make the call before either has committed."""
        calls = calls or (("k",), ("k",))
        return [task(*arguments) for task, arguments in zip(self.tasks, calls, strict=True)]

    async def raced(self, *calls):
        """Return the handle of the call that was registered, and that of the other one."""
        handles = self.race(*calls)
        await asyncio.sleep(1)
        [row] = self.world.rows()
        self.loser = int(self.apps[0]._dispatcher.runner_id == row.home)
        return handles[1 - self.loser], handles[self.loser]


async def test_both_calls_are_accepted_and_have_one_result_one_body_and_one_id():
    async with Pair() as pair:
        handles = pair.race()
        assert [await one.accepted() for one in handles] == handles
        assert len({one.invocation_id for one in handles}) == 1
        assert await asyncio.gather(*handles) == ["paid k"] * 2
        assert pair.ran == ["k"]
        assert [row.invocation_id for row in pair.world.rows()] == [handles[0].invocation_id]


async def test_such_a_handle_is_equal_to_the_other_and_says_the_same_of_everything():
    async with Pair() as pair:
        winner, loser = await pair.raced(("k", 1), ("k", 2))
        assert loser == winner
        assert hash(loser) == hash(winner)
        for _ in range(2):
            assert loser.status is winner.status
            assert [step.status for step in loser.history] == [step.status for step in winner.history]
            assert {step.runner_id for step in loser.history} == {step.runner_id for step in winner.history}
            assert loser.arguments.kwargs == winner.arguments.kwargs
            assert loser.call_id == winner.call_id
            assert loser.num_retries == winner.num_retries
            assert loser.parent_invocation_id == winner.parent_invocation_id
            assert str(loser) == str(winner)
            await winner
            await loser.wait()
        assert loser.result == winner.result == "paid k"


async def test_written_down_it_is_read_as_the_invocation_that_stands():
    async with Pair() as pair:
        winner, loser = await pair.raced()
        read = [DistributedInvocation.from_json(app, loser.to_json()) for app in pair.apps]
        assert read == [winner, winner]
        assert await asyncio.gather(*read) == ["paid k"] * 2


async def test_it_is_found_under_its_id_everywhere_and_where_it_was_given_out_under_the_first_one_too():
    async with Pair() as pair:
        handles = pair.race()
        given_out = [one.invocation_id for one in handles]
        await asyncio.sleep(1)
        for app, handle, first in zip(pair.apps, handles, given_out, strict=True):
            assert app.get_invocation(first) == handle
            assert all(other.get_invocation(handle.invocation_id) == handle for other in pair.apps)


@pytest.mark.parametrize("at_once", [True, False])
async def test_cancelling_it_cancels_what_runs(at_once):
    async with Pair() as pair:
        handles = pair.race() if at_once else await pair.raced()
        outcomes = [await handle.cancel("not needed") for handle in reversed(handles)]
        [row] = pair.world.rows()
        assert row.status is S.CANCELLED
        assert all(str(outcome) in {"stopped", "never_started"} for outcome in outcomes)
        for handle in handles:
            with pytest.raises(InvocationCancelledError, match="not needed"):
                await handle


async def test_a_failure_is_that_of_the_invocation_that_stands():
    async with Pair() as pair:
        for handle in pair.race(("bad",), ("bad",)):
            with pytest.raises(ValueError, match="bad"):
                await handle
            assert handle.status is S.FAILED


async def test_a_later_submission_is_reused_while_it_stands_and_new_afterwards():
    async with Pair() as pair:
        winner, loser = await pair.raced()
        again = [await task.submit("k") for task in pair.tasks]
        assert again == [winner, winner]
        assert all(isinstance(one, ReusedInvocation) for one in again)
        await winner  # and nobody awaits the other
        assert loser.status is S.SUCCESS
        for task in pair.tasks:
            new = await task.submit("k")
            assert new != winner
            await new
        assert pair.ran == ["k"] * 3


async def test_once_it_has_started_a_call_of_the_loser_is_new_where_uniqueness_ends_then():
    async with Pair(unique_until="started", delay=5) as pair:
        winner, loser = await pair.raced()
        assert (winner.status, loser.status) == (S.SCHEDULED, S.SCHEDULED)
        assert [await task.submit("k") for task in pair.tasks] == [winner, winner]
        await asyncio.sleep(5)
        assert (winner.status, loser.status) == (S.RUNNING, S.RUNNING)
        assert await pair.tasks[pair.loser].submit("k") != winner


async def test_it_may_have_ended_before_the_other_process_hears_that_it_stands():
    async with Pair(unique_for=3600) as pair:
        slow = asyncio.Event()

        async def commit(changes):
            answer = await committing(changes)
            await slow.wait()
            return answer

        store = pair.world.stores[1]
        committing, store.commit = store.commit, commit
        first, other = pair.race()
        assert await first == "paid k"
        slow.set()
        assert await other == "paid k"
        assert other == first


@pytest.mark.slow
async def test_what_stands_for_a_time_is_reused_for_so_long_whatever_retention_says():
    options = {"store_retain_seconds": 1, "retain_seconds": 1, "lease_seconds": 2}
    async with Pair(options, unique_for=3600) as pair:
        first = await pair.tasks[0].submit("k")
        await first
        await asyncio.sleep(3_000)
        for task in pair.tasks:
            again = await task.submit("k")
            assert again == first
            assert await again == "paid k"
        await asyncio.sleep(1_000)
        assert pair.world.rows() == []
        assert await (await pair.tasks[1].submit("k")) == "paid k"
        assert pair.ran == ["k"] * 2


async def test_whoever_waits_for_what_was_forgotten_meanwhile_is_told_so():
    async with Pair() as pair:
        winner, loser = await pair.raced()
        store = pair.world.stores[pair.loser]
        loading = store.load

        async def load(ids):
            await pair.world.stores[1 - pair.loser].purge(Retention(count=0), now=1e12)
            return await loading(ids)

        store.load = load  # it looks when all is over
        with pytest.raises(InvocationNotFoundError):
            await loser
        assert winner.result == "paid k"


async def test_what_dies_with_its_process_is_run_by_the_other_whose_handle_hears_of_it():
    async with Pair() as pair:
        winner, loser = await pair.raced()
        pair.world.stores[1 - pair.loser].kill(is_noticed=True)
        assert await loser == "paid k"
        assert loser == winner
        assert pair.ran == ["k"] * 2


@pytest.mark.parametrize("window", [None, 1, 2])
async def test_the_members_of_groups_are_what_stands_and_results_are_in_order(window):
    async with Pair() as pair:
        keys = "abc" if window else "abcab"  # where the source is read as it goes, a duplicate is read once
        groups = [task.parallelize([(key,) for key in keys], window=window) for task in pair.tasks]
        assert await asyncio.gather(*groups) == [[f"paid {key}" for key in keys]] * 2
        assert sorted(pair.ran) == ["a", "b", "c"]


async def test_different_calls_that_another_process_has_registered_are_all_read_by_a_group_with_a_window():
    async with Pair() as pair:
        keys = [(key,) for key in "abcde"]
        others = [await pair.tasks[0].submit(*key) for key in keys]
        group = pair.tasks[1].parallelize(iter(keys), window=5)
        assert await group == [f"paid {key}" for key in "abcde"]
        assert pair.ran == list("abcde")
        assert len(others) == 5


async def test_where_duplicates_raise_the_loser_is_told_and_nothing_waits_for_it():
    async with Pair(on_duplicate="raise") as pair:
        handles = pair.race()
        accepted = await asyncio.gather(*(one.accepted() for one in handles), return_exceptions=True)
        [refused] = [one for one in accepted if isinstance(one, Exception)]
        assert isinstance(refused, ConcurrencyLimitError)
        loser = handles[accepted.index(refused)]
        with pytest.raises(ConcurrencyLimitError):
            await loser
        assert loser.status is S.CONCURRENCY_CONTROLLED_FINAL


async def test_where_duplicates_are_skipped_the_loser_is_stored_as_dropped():
    async with Pair(on_duplicate="skip") as pair:
        handles = pair.race()
        assert [await one.accepted() for one in handles] == handles
        [dropped] = [one for one in handles if one.status is S.CONCURRENCY_CONTROLLED_FINAL]
        [standing] = [one for one in handles if one != dropped]
        with pytest.raises(ConcurrencyLimitError, match=standing.invocation_id):
            await dropped
        assert pair.world.path(dropped.invocation_id) == [S.REGISTERED, S.CONCURRENCY_CONTROLLED_FINAL]
        assert all(app.get_invocation(dropped.invocation_id) == dropped for app in pair.apps)
        assert await standing == "paid k"


async def test_what_is_skipped_within_one_process_is_stored_as_dropped_too():
    async with Pair(on_duplicate="skip") as pair:
        standing, dropped = await pair.tasks[0].submit("k"), await pair.tasks[0].submit("k")
        assert pair.world.path(dropped.invocation_id) == [S.REGISTERED, S.CONCURRENCY_CONTROLLED_FINAL]
        assert pair.apps[1].get_invocation(dropped.invocation_id) == dropped
        assert await standing == "paid k"


async def test_where_other_arguments_are_not_allowed_the_loser_is_told_in_which_they_differ():
    async with Pair(on_different_arguments_raise=True) as pair:
        handles = pair.race(("k", 1), ("k", 2))
        accepted = await asyncio.gather(*(one.accepted() for one in handles), return_exceptions=True)
        [refused] = [one for one in accepted if isinstance(one, Exception)]
        with pytest.raises(ConcurrencyLimitError, match=r"amount: [12] there, [12] here"):
            raise refused


async def test_a_shutdown_in_the_middle_of_the_race_leaves_nobody_waiting():
    pair = Pair()
    async with pair:
        handles = pair.race()
        accepted = [asyncio.ensure_future(one.accepted()) for one in handles]
        for app in pair.apps:
            await app.shutdown(0)
        assert await asyncio.gather(*accepted) == handles
        assert len({one.invocation_id for one in handles}) == 1


async def test_readers_of_a_stream_are_told_that_the_items_are_elsewhere():
    async with Pair() as pair:

        async def count(key: str):
            yield key
            await asyncio.sleep(10)

        options = {"registration_concurrency": "arguments", "unique_until": "finished"}
        calls = [app.task(**options)(count)("k") for app in pair.apps]
        readers = [anext(call.stream()) for call in calls]
        read = await asyncio.gather(*readers, return_exceptions=True)
        assert sorted(type(one).__name__ for one in read) == [StreamTruncatedError.__name__, "str"]


async def test_the_children_of_a_cancelled_parent_are_its_own_and_not_what_stands_for_them():
    async with Pair() as pair:

        def paying(task):
            async def parent() -> str:
                return await task("k")

            return parent

        parents = [app.task(paying(task))() for app, task in zip(pair.apps, pair.tasks, strict=True)]
        await asyncio.sleep(1)
        home = pair.world.rows()[-1].home
        loser = next(i for i, app in enumerate(pair.apps) if app._dispatcher.runner_id != home)
        await parents[loser].cancel("enough")
        assert await parents[1 - loser] == "paid k"


async def test_the_journal_of_a_workflow_names_what_stands_and_a_restart_does_not_ask_again():
    async with Pair() as pair:

        def paying(task):
            async def flow() -> str:
                paid = await task("k")
                await asyncio.sleep(100)
                return paid

            return flow

        flows = [app.task(workflow=True)(paying(task))() for app, task in zip(pair.apps, pair.tasks, strict=True)]
        await asyncio.sleep(50)
        [paid] = {row.invocation_id for row in pair.world.rows() if row.task_id == pair.tasks[0].task_id}
        for flow in flows:
            [entry] = pair.world.hub.tables.journals[flow.invocation_id]
            assert paid.encode() in entry[0]


@pytest.mark.parametrize("limits", [{}, {"running_concurrency": "task"}, {"rate_limit": Rate(1, per=5.0)}])
@pytest.mark.parametrize("app_options", [{"max_concurrency": 1}, {"store_window": 1}, {"max_queued": 1}])
async def test_the_loser_holds_no_slot_no_permit_and_no_room(app_options, limits):
    async with Pair(app_options, **limits) as pair:
        await pair.raced()
        app, task = pair.apps[pair.loser], pair.tasks[pair.loser]
        statistics = app.statistics()
        assert (statistics.running, statistics.living) == (0, 0)
        assert await asyncio.wait_for(await task.submit("other"), 60) == "paid other"


async def test_many_losers_behind_a_full_window_come_to_their_ends():
    async with Pair({"store_window": 2, "max_concurrency": 2}) as pair:
        calls = [pair.race((str(key),), (str(key),)) for key in range(10)]
        for pairs in calls:
            assert len({(await one.accepted()).invocation_id for one in pairs}) == 1
        for key, pairs in enumerate(calls):
            assert await asyncio.gather(*pairs) == [f"paid {key}"] * 2
        assert sorted(pair.ran) == [str(key) for key in range(10)]


async def test_a_thread_that_waits_for_the_loser_gets_the_result_of_what_stands():
    async with Pair() as pair:

        def asking(task):
            def ask() -> str:
                return task("k").result

            return ask

        asked = [app.task(asking(task))() for app, task in zip(pair.apps, pair.tasks, strict=True)]
        assert await asyncio.gather(*asked) == ["paid k"] * 2
        assert pair.ran == ["k"]


async def test_observers_hear_what_becomes_of_the_call_that_they_were_told_of():
    async with Pair() as pair:
        events = []
        for app in pair.apps:
            app.observe(events.append)
        handles = pair.race()
        given_out = {one.invocation_id for one in handles}
        await asyncio.gather(*handles)
        ends = {one.invocation_id: one.status for one in events if one.status.is_final()}
        assert set(ends) == given_out
        assert sorted(ends.values()) == [S.CONCURRENCY_CONTROLLED_FINAL, S.SUCCESS]
