"""A direct task is called like the function it was, and runs as an invocation."""

import asyncio
import inspect

import pytest

from pynenc_async import DirectCallError, InvalidTaskOptionsError, Pynenc, Task, TaskDefinitionError, current_invocation


async def test_a_coroutine_function_gives_its_value_to_await():
    app = Pynenc()

    @app.direct_task
    async def double(number, *, plus=0):
        """Double it."""
        assert current_invocation().task is double.task
        return 2 * number + plus

    assert inspect.iscoroutinefunction(double)
    assert double.__doc__ == "Double it."
    assert str(inspect.signature(double)) == "(number, *, plus=0)"
    async with app:
        assert await double(2, plus=1) == 5
        assert await asyncio.gather(double(1), double(2)) == [2, 4]
        assert len(app.invocations(task=double.task)) == 3


async def test_options_apply():
    app, attempts = Pynenc(), []

    @app.direct_task(max_retries=2)
    async def flaky():
        attempts.append(None)
        if len(attempts) < 3:
            raise ValueError
        return len(attempts)

    async with app:
        assert await flaky() == 3
    with pytest.raises(InvalidTaskOptionsError, match="max_retries"):
        app.direct_task(max_retries=-1)(len)


async def test_what_the_function_raises_is_raised():
    app, error = Pynenc(), ValueError("broken")

    @app.direct_task
    async def fails():
        raise error

    async with app:
        with pytest.raises(ValueError, match="broken") as caught:
            await fails()
    assert caught.value is error


async def test_a_def_gives_its_value_to_a_thread():
    app = Pynenc()

    @app.direct_task
    def double(number):
        return 2 * number

    @app.task
    def twice(number):
        return double(double(number))

    async with app:
        assert await asyncio.to_thread(double, 3) == 6
        assert await twice(3) == 12


async def test_a_def_refuses_to_block_the_loop_and_submits_nothing():
    app, ran = Pynenc(), []

    @app.direct_task
    def work():
        ran.append(None)

    async with app:
        with pytest.raises(DirectCallError, match=r"work would block the event loop.*to_thread"):
            work()
        await app.get_task(work.task.task_id)()
    assert len(ran) == 1


def test_in_sync_mode_it_runs_inline():
    app = Pynenc("sync://")

    @app.direct_task
    def double(number):
        return 2 * number

    @app.direct_task
    def twice(number):
        return double(double(number))

    @app.direct_task
    async def add(one, other):
        return one + other

    assert twice(2) == 8
    assert asyncio.run(add(1, 2)) == 3


def test_an_async_generator_has_no_value_to_give():
    app = Pynenc()
    with pytest.raises(TaskDefinitionError, match="stream"):

        @app.direct_task
        async def numbers():
            yield 1


async def test_it_can_be_told_from_a_task():
    app = Pynenc()

    @app.direct_task
    async def work():
        pass

    assert not isinstance(work, Task)
    assert isinstance(work.task, Task)
    assert app.tasks[work.task.task_id] is work.task
