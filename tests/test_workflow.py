"""A workflow that is run again goes on where it was: what succeeded is not done again, what was drawn stays the same."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from pynenc_async import InvocationStatus, NotInWorkflowError, Pynenc, RetryError, WorkflowNondeterminismError, workflow
from pynenc_async.testing import simulate


class Steps:
    """An app with children that count how often they run, and fail as often as they are told to."""

    def __init__(self, url="memory://"):
        self.app = Pynenc(url)
        self.ran = []
        self.failures = {}

        @self.app.task(detect_cycles=False)
        async def step(name):
            self._run(name)
            return name.upper()

        @self.app.task
        def in_thread(name):
            self._run(name)
            return name.upper()

        self.step, self.in_thread = step, in_thread

    def _run(self, name):
        self.ran.append(name)
        if self.failures.get(name, 0):
            self.failures[name] -= 1
            raise ValueError(name)


async def test_children_that_succeeded_are_not_run_again():
    steps = Steps()
    steps.failures = {"c": 2}

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        return [await steps.step("a"), await steps.step("b"), await steps.step("c"), await steps.step("d")]

    async with steps.app:
        invocation = body()
        assert await invocation == ["A", "B", "C", "D"]
    assert steps.ran == ["a", "b", "c", "c", "c", "d"]
    assert invocation.num_retries == 2


async def test_without_the_option_everything_is_done_again():
    steps = Steps()
    steps.failures = {"b": 1}

    @steps.app.task(max_retries=5)
    async def body():
        return [await steps.step("a"), await steps.step("b")]

    async with steps.app:
        assert await body() == ["A", "B"]
    assert steps.ran == ["a", "b", "a", "b"]


async def test_drawn_values_are_the_same_in_every_attempt():
    app, drawn = Pynenc(), []

    @app.task(workflow=True, max_retries=3)
    async def body():
        drawn.append((workflow.uuid4(), workflow.random(), workflow.now(), workflow.random()))
        if len(drawn) < 3:
            raise ValueError
        return drawn[-1]

    async with app:
        key, number, moment, another = await body()
        assert drawn == [drawn[0]] * 3
        assert await body() not in drawn[:3]
    assert isinstance(key, UUID)
    assert key.version == 4
    assert 0 <= number < 1
    assert number != another
    assert moment.tzinfo is UTC


@pytest.mark.virtual
async def test_now_stays_what_it_was_though_time_passes():
    app, seen = Pynenc(), []

    @app.task(workflow=True, max_retries=1)
    async def body():
        seen.append((workflow.now(), asyncio.get_running_loop().time()))
        if len(seen) == 1:
            raise RetryError(after=3600)
        await asyncio.sleep(60)
        return workflow.now()

    async with app:
        later = await body()
    assert seen[0][0] == seen[1][0]
    assert seen[1][1] == seen[0][1] + 3600
    assert later == seen[0][0] + timedelta(seconds=3660)


async def test_parallel_children_keep_the_order_of_their_submission():
    steps = Steps()
    steps.failures = {"b": 1, "last": 1}

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        first, second, third = steps.step("a"), steps.step("b"), steps.step("c")
        values = [await third, await first, await second]
        return [*values, await steps.step("last")]

    async with steps.app:
        assert await body() == ["C", "A", "B", "LAST"]
    assert sorted(steps.ran) == ["a", "b", "b", "c", "last", "last"]


async def test_groups_are_recorded_member_by_member():
    steps = Steps()
    steps.failures = {"2": 1, "last": 1}

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        values = await steps.step.parallelize([(str(number),) for number in range(4)])
        found = {value async for value in steps.step.parallelize((name,) for name in "xyz")}
        return values, found, await steps.step("last")

    async with steps.app:
        assert await body() == (["0", "1", "2", "3"], {"X", "Y", "Z"}, "LAST")
    assert sorted(steps.ran) == ["0", "1", "2", "2", "3", "last", "last", "x", "y", "z"]


async def test_a_child_that_is_still_under_way_is_not_submitted_again():
    steps, gate = Steps(), asyncio.Event()
    attempts = []

    @steps.app.task
    async def slow():
        steps.ran.append("slow")
        await gate.wait()
        return "slow"

    @steps.app.task(workflow=True, max_retries=1)
    async def body():
        child = slow()
        attempts.append(child)
        if len(attempts) == 1:
            await asyncio.sleep(0)
            raise ValueError
        gate.set()
        return await child

    async with steps.app:
        assert await body() == "slow"
    assert attempts[0] is attempts[1]
    assert steps.ran == ["slow"]


async def test_parallel_failures_are_all_run_again():
    steps = Steps()
    steps.failures = {"a": 1, "b": 1, "c": 1}

    @steps.app.task(workflow=True, max_retries=1)
    async def body():
        return await asyncio.gather(steps.step("a"), steps.step("b"), steps.step("c"), steps.step("d"))

    async with steps.app:
        assert await body() == ["A", "B", "C", "D"]
    assert sorted(steps.ran) == ["a", "a", "b", "b", "c", "c", "d"]


async def test_a_failure_that_the_body_dealt_with_is_part_of_its_history():
    steps = Steps()
    steps.failures = {"first way": 1, "second way": 1}

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        try:
            return await steps.step("first way")
        except ValueError:
            pass
        return await steps.step("second way")

    async with steps.app:
        assert await body() == "SECOND WAY"
    assert steps.ran == ["first way", "second way", "second way"]


async def test_a_failure_that_led_to_the_error_of_the_attempt_is_run_again():
    steps = Steps()
    steps.failures = {"a": 2, "b": 1}

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        try:
            await steps.step("a")
        except ValueError as error:
            await steps.step("undo")
            raise KeyError from error
        return await steps.step("b")

    async with steps.app:
        assert await body() == "B"
    # The way of the failure is no longer binding once the child succeeds; until then it is not gone again.
    assert steps.ran == ["a", "undo", "a", "a", "b", "b"]


async def test_a_way_that_is_no_longer_binding_stays_so():
    steps, attempts = Steps(), []
    steps.failures = {"a": 1}

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        attempts.append(None)
        try:
            await steps.step("a")
        except ValueError as error:
            await steps.step("undo")
            raise KeyError from error
        if len(attempts) == 2:
            raise ValueError  # before anything was asked for in place of "undo"
        return await steps.step("b")

    async with steps.app:
        assert await body() == "B"
    assert steps.ran == ["a", "undo", "a", "b"]


async def test_what_was_asked_before_the_child_failed_stays_binding():
    steps, attempts = Steps(), []
    steps.failures = {"b": 1}

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        attempts.append(None)
        await steps.step("a" if len(attempts) == 1 else "other")
        await steps.step("b")

    async with steps.app:
        with pytest.raises(WorkflowNondeterminismError, match="number 0"):
            await body()
    assert steps.ran == ["a", "b"]


async def test_failures_inside_of_an_exception_group_are_run_again():
    steps = Steps()
    steps.failures = {"a": 2}

    async def value_of(handle):
        return await handle

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(value_of(steps.step(name))) for name in "ab"]
        return [task.result() for task in tasks]

    async with steps.app:
        assert await body() == ["A", "B"]
    assert sorted(steps.ran) == ["a", "a", "a", "b"]


async def test_a_cancelled_child_that_ended_the_attempt_is_run_again():
    steps, attempts = Steps(), []

    @steps.app.task
    async def child():
        if len(attempts) == 1:
            await asyncio.Event().wait()
        return "done"

    @steps.app.task(workflow=True, max_retries=1)
    async def body():
        attempts.append(child())
        if len(attempts) == 1:
            await asyncio.sleep(0)
            await attempts[0].cancel("by hand")
        return await attempts[-1]

    async with steps.app:
        assert await body() == "done"
    assert attempts[0].status is InvocationStatus.CANCELLED
    assert attempts[0] is not attempts[1]


@pytest.mark.parametrize(
    ("second", "asked"),
    [
        (lambda steps: steps.step("b"), "step('b')"),
        (lambda steps: steps.in_thread("a"), "in_thread('a')"),
        (lambda _: workflow.random(), "workflow.random()"),
    ],
)
async def test_a_request_that_differs_from_the_recorded_one_is_refused_and_not_retried(second, asked):
    steps, attempts = Steps(), []

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        attempts.append(None)
        workflow.uuid4()
        if len(attempts) == 1:
            await steps.step("a")
            raise ValueError
        second(steps)

    async with steps.app:
        with pytest.raises(WorkflowNondeterminismError) as caught:
            await body()
    error = caught.value
    assert len(attempts) == 2
    assert (error.index, steps.ran) == (1, ["a"])
    assert error.recorded.endswith("step('a')")
    assert error.asked.endswith(asked)
    assert error.task_id.endswith("body")
    assert "request number 1" in str(error)


async def test_a_call_in_place_of_a_drawn_value_is_refused():
    steps, attempts = Steps(), []

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        attempts.append(None)
        if len(attempts) == 1:
            workflow.uuid4()
            raise ValueError
        await steps.step("a")

    async with steps.app:
        with pytest.raises(WorkflowNondeterminismError, match=r"workflow\.uuid4\(\)"):
            await body()
    assert not steps.ran


async def test_asking_for_less_is_allowed():
    steps, attempts = Steps(), []

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        attempts.append(None)
        await steps.step("a")
        if len(attempts) == 1:
            await steps.step("b")
            raise ValueError
        return "done"

    async with steps.app:
        assert await body() == "done"
    assert steps.ran == ["a", "b"]


async def test_arguments_are_compared_as_values():
    steps, attempts = Steps(), []

    class Strange:
        def __init__(self, number):
            self.number = number

        def __eq__(self, other):
            return isinstance(other, Strange) and self.number == other.number

        __hash__ = None

    @steps.app.task
    async def take(*values):
        return len(values)

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        attempts.append(None)
        got = [await take([1, 2], {"a": 0.5}), await take(Strange(1)), await take()]
        if len(attempts) < 3:
            raise ValueError
        return got

    async with steps.app:
        assert await body() == [2, 1, 0]
        assert len(steps.app.invocations(task=take)) == 3


async def test_a_body_in_a_thread_is_a_workflow_too():
    steps = Steps()
    steps.failures = {"a": 1, "b": 1, "c": 1}
    keys = []

    @steps.app.task(workflow=True, max_retries=5)
    def body():
        keys.append(workflow.uuid4())
        values = [steps.step("a").result, steps.in_thread("b").result]
        try:
            steps.step("c").result  # noqa: B018  reading it waits
        except ValueError:
            values.append(steps.step("d").result)
        if len(keys) < 5:
            raise ValueError
        return values

    async with steps.app:
        assert await body() == ["A", "B", "D"]
    assert sorted(steps.ran) == ["a", "a", "b", "b", "c", "d"]
    assert len(set(keys)) == 1


async def test_children_of_another_app_are_recorded_too():
    steps, other = Steps(), Steps()
    steps.failures = {"b": 1}

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        return await other.step("a"), await steps.step("b")

    async with steps.app, other.app:
        assert await body() == ("A", "B")
    assert other.ran == ["a"]


async def test_only_what_the_body_itself_asks_for_is_recorded():
    steps = Steps()
    steps.failures = {"inner": 1}

    @steps.app.task(max_retries=1)
    async def child():
        return await steps.step("first"), await steps.step("inner")

    @steps.app.task(workflow=True)
    async def body():
        await child()
        return [(entry.index, entry.kind, entry.task_id) for entry in workflow.journal()]

    async with steps.app:
        assert await body() == [(0, "call", child.task_id)]
    assert steps.ran == ["first", "inner", "first", "inner"]


async def test_a_body_can_tell_whether_it_repeats():
    steps, seen = Steps(), []
    steps.failures = {"b": 1}

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        for name in "abc":
            seen.append((name, workflow.is_replaying()))
            await steps.step(name)

    async with steps.app:
        await body()
    assert seen == [("a", False), ("b", False), ("a", True), ("b", True), ("c", False)]


async def test_entries_name_the_invocations_and_are_plain_data():
    steps = Steps()

    @steps.app.task(workflow=True)
    async def body():
        child = steps.step("a")
        await child
        moment = workflow.now()
        call, now = workflow.journal()
        assert (call.index, call.invocation_id, call.value) == (0, child.invocation_id, None)
        assert (now.index, now.kind) == (1, "now")
        assert datetime.fromtimestamp(now.value, UTC) == moment

    async with steps.app:
        await body()


@pytest.mark.parametrize("url", ["memory://", "sync://"])
async def test_what_the_journal_of_a_living_workflow_names_is_found_whatever_retention_has_dropped(url):
    app = Pynenc(url, retain_count=0)

    @app.task
    async def child(x: int) -> int:
        return x

    @app.task(workflow=True)
    async def body() -> list[int]:
        for number in range(3):
            await child(number)
        return [app.get_invocation(entry.invocation_id).result for entry in workflow.journal()]

    async with app:
        assert await body() == [0, 1, 2]


@pytest.mark.parametrize(
    "ask", [workflow.uuid4, workflow.random, workflow.now, workflow.is_replaying, workflow.journal]
)
async def test_outside_of_a_workflow_the_functions_say_where_they_belong(ask):
    app = Pynenc()

    @app.task
    async def plain():
        ask()

    with pytest.raises(NotInWorkflowError, match="outside of a running body"):
        ask()
    async with app:
        with pytest.raises(NotInWorkflowError, match="plain, which is no workflow"):
            await plain()


async def test_a_failure_that_is_not_retried_keeps_no_journal():
    steps = Steps()
    steps.failures = {"a": 1}

    @steps.app.task(workflow=True)
    async def body():
        await steps.step("a")

    async with steps.app:
        invocation = body()
        with pytest.raises(ValueError, match="a"):
            await invocation
    assert invocation._more.journal is None


@pytest.mark.parametrize("seed", range(10))
def test_random_workflows_end_with_each_step_done_once(seed):
    async def main():
        steps, rng = Steps(), random.Random(seed)
        steps.failures = {f"s{number}": rng.choice([0, 0, 1, 2]) for number in range(12)}
        planned = sum(steps.failures.values())

        @steps.app.task(workflow=True, max_retries=100, retry_delay=5, retry_jitter=True)
        async def body():
            values = []
            for first in range(0, 12, 3):
                children = [steps.step(f"s{first}"), steps.in_thread(f"s{first + 1}"), steps.step(f"s{first + 2}")]
                values += [await child for child in reversed(children)]
                workflow.random()
            return values

        async with steps.app:
            await body()
        assert len(steps.ran) == 12 + planned

    simulate(main, seed=seed)


def test_workflows_work_in_sync_mode():
    steps = Steps("sync://")
    steps.failures = {"b": 1, "c": 1}
    keys = []

    @steps.app.task(workflow=True, max_retries=5)
    def body():
        keys.append((workflow.uuid4(), workflow.now(), workflow.random()))
        values = [steps.step("a").result, steps.in_thread("b").result]
        try:
            steps.step("c").result  # noqa: B018  reading it runs it
        except ValueError:
            values.append(steps.step("d").result)
        if len(keys) < 4:
            raise ValueError
        return values

    assert body().result == ["A", "B", "D"]
    assert steps.ran == ["a", "b", "b", "c", "d"]
    assert len(set(keys)) == 1


async def test_a_duplicate_is_recorded_under_the_call_that_was_made():
    app, attempts = Pynenc(), []

    @app.task(registration_concurrency="keys", key_arguments="key")
    async def child(key, number):
        return number

    @app.task(workflow=True, max_retries=1)
    async def body():
        attempts.append([child("x", 1), child("x", 2), child("y", 3)])
        values = [await one for one in attempts[-1]]
        if len(attempts) == 1:
            raise ValueError
        return values

    async with app:
        assert await body() == [1, 1, 3]
    assert all(first is second for first, second in zip(*attempts, strict=True))
    assert len(app.invocations(task=child)) == 2


async def test_a_replayed_call_needs_no_room():
    app, gate, attempts = Pynenc(max_queued=1, max_concurrency=1), asyncio.Event(), []

    @app.task
    async def child():
        return "done"

    @app.task(workflow=True, max_retries=1)
    async def body():
        attempts.append(child())
        if len(attempts) == 1:
            raise ValueError
        gate.set()
        return await attempts[-1]

    async with app:
        assert await body() == "done"
    assert attempts[0] is attempts[1]


@pytest.mark.virtual
async def test_a_timeout_costs_only_the_child_that_was_under_way():
    steps, slow_ones = Steps(), []

    @steps.app.task
    async def slow():
        slow_ones.append(asyncio.get_running_loop().time())
        await asyncio.sleep(25 if len(slow_ones) < 3 else 1)
        return "slow"

    @steps.app.task(workflow=True, timeout=10, max_retries=5)
    async def body():
        return await steps.step("a"), await slow()

    async with steps.app:
        assert await body() == ("A", "slow")
    assert steps.ran == ["a"]
    assert slow_ones == [0, 10, 20]


@pytest.mark.virtual
async def test_a_workflow_that_is_cancelled_takes_its_children_along():
    steps = Steps()

    @steps.app.task
    async def slow():
        await asyncio.sleep(60)

    @steps.app.task(workflow=True, max_retries=5)
    async def body():
        await steps.step("a")
        await slow()

    async with steps.app:
        invocation = body()
        await asyncio.sleep(1)
        await invocation.cancel()
        (child,) = steps.app.invocations(task=slow)
        assert child.status is InvocationStatus.CANCELLED
    assert asyncio.get_running_loop().time() == 1


@pytest.mark.virtual
async def test_a_streaming_child_is_given_back_with_its_items():
    app, began, attempts = Pynenc(), [], []

    @app.task
    async def numbers(count):
        began.append(None)
        for number in range(count):
            yield number

    @app.task(workflow=True, max_retries=1)
    async def body():
        attempts.append(None)
        items = [item async for item in numbers(3).stream()]
        if len(attempts) == 1:
            raise ValueError
        return items

    async with app:
        assert await body() == [0, 1, 2]
    assert len(began) == 1
