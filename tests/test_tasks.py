"""What can be a task, and what a task is."""

import functools
from collections.abc import AsyncIterator

import pytest

from pynenc_async import Pynenc, Task, TaskDefinitionError


def logged(func):
    @functools.wraps(func)
    async def wrapper(*args, **kwargs):
        return ("logged", await func(*args, **kwargs))

    return wrapper


async def test_an_async_def_is_a_task():
    app = Pynenc()

    @app.task
    async def add(a, b):
        return a + b

    assert isinstance(add, Task)
    assert await add(1, 2) == 3


async def test_a_def_is_a_task():
    app = Pynenc()

    @app.task
    def add(a, b):
        return a + b

    assert await add(1, 2) == 3


async def test_an_async_generator_is_a_task_with_a_stream():
    app = Pynenc()

    @app.task
    async def count(n) -> AsyncIterator[int]:
        for i in range(n):
            yield i

    assert [item async for item in count(3).stream()] == [0, 1, 2]


async def test_a_function_in_a_wrapper_is_a_task_with_the_signature_of_the_function():
    app = Pynenc()

    @app.task
    @logged
    async def add(a, b=10):
        return a + b

    assert await add(1) == ("logged", 11)
    assert add(1).arguments.kwargs == {"a": 1, "b": 10}
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        add()


async def test_a_callable_object_is_a_task():
    class Adder:
        """Adds."""

        def __init__(self, base):
            self.base = base

        async def __call__(self, n):
            return self.base + n

    app = Pynenc()
    task = app.task(Adder(10))
    assert await task(5) == 15
    assert task.task_id.endswith("Adder")
    assert isinstance(task.func, Adder)


async def test_a_callable_object_with_a_plain_call_runs_in_a_thread():
    class Doubler:
        def __call__(self, n):
            return 2 * n

    assert await Pynenc().task(Doubler())(4) == 8


async def test_a_bound_method_is_a_task():
    class Account:
        balance = 5

        async def read(self, factor):
            return self.balance * factor

    assert await Pynenc().task(Account().read)(3) == 15


async def test_a_partial_is_a_task():
    async def add(a, b, *, c=0):
        return a + b + c

    assert await Pynenc().task(functools.partial(add, 1, c=5))(2) == 8


async def test_a_static_method_is_a_task():
    class Tools:
        @staticmethod
        async def double(n):
            return 2 * n

    assert await Pynenc().task(Tools.double)(4) == 8
    assert await Pynenc().task(staticmethod(Tools.double))(4) == 8


async def test_a_def_that_returns_a_coroutine_is_not_taken_for_success():
    app = Pynenc()

    async def work():
        return 1

    @app.task
    def forgot_the_async():
        return work()

    with pytest.raises(TypeError, match=r"coroutine"):
        await forgot_the_async()


def generator():
    yield 1


class Klass:
    def __call__(self):
        return 1


class YieldingCallable:
    def __call__(self):
        yield 1


@pytest.mark.parametrize(
    "wrong",
    [generator, YieldingCallable(), Klass, int, 5, "text", staticmethod(generator), classmethod(generator), iter],
    ids=["generator", "callable", "class", "int", "5", "text", "staticmethod", "classmethod", "no signature"],
)
def test_what_cannot_be_a_task_is_refused_with_a_hint(wrong):
    with pytest.raises(TaskDefinitionError) as caught:
        Pynenc().task(wrong)
    assert str(caught.value).startswith("task ")
    assert ";" in str(caught.value), "the message says what to do"


def test_a_task_is_not_decorated_again():
    app = Pynenc()

    async def work():
        pass

    with pytest.raises(TaskDefinitionError, match=r"already a task|is a task"):
        app.task(app.task(work))


def test_two_functions_of_one_name_are_refused():
    app = Pynenc()

    def define(value):
        @app.task
        async def work():
            return value

    define(1)
    with pytest.raises(TaskDefinitionError, match=r"work.*already registered"):
        define(2)
