"""What is decorated becomes a task that runs what was written, or is refused with a hint."""

import asyncio
import enum
import functools
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from pynenc_async import InvocationStatus, Pynenc, TaskDefinitionError
from pynenc_async.testing import simulate

ROOT = Path(__file__).parent.parent


def logged(function):
    """The usual decorator: right for a def, and it passes on whatever the function gives."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


# -- methods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decorate", [lambda app: app.task, lambda app: app.task(max_retries=1), lambda app: app.every(5)]
)
def test_a_method_is_refused_for_its_argument_would_be_taken_for_self(decorate):
    app = Pynenc()
    with pytest.raises(TaskDefinitionError, match="is a method"):

        class Service:
            @decorate(app)
            async def scale(self, value=1):
                return self, value


def test_a_function_of_a_class_that_expects_no_object_is_a_task():
    app = Pynenc("sync://")

    class Tasks:
        @app.task
        @staticmethod
        def double(n):
            return 2 * n

        @app.task
        def triple(n):  # noqa: N805  it is none
            return 3 * n

    assert Tasks.double(2).result == 4
    assert Tasks.triple(2).result == 6


def test_a_bound_method_is_a_task():
    app = Pynenc("sync://")

    class Service:
        def scale(self, value):
            return 3 * value

    assert app.task(Service().scale)(2).result == 6


def test_a_direct_task_may_be_a_method():
    app = Pynenc("sync://")

    class Service:
        factor = 3

        @app.direct_task
        def scale(self, value):
            return self.factor * value

    assert Service().scale(2) == 6


# -- plain wrappers ----------------------------------------------------------------------------------------------------


async def coroutine(n=1):
    return n


async def items():
    yield 1


def generator():
    yield 1


@pytest.mark.parametrize("function", [coroutine, items, functools.partial(coroutine, 2)])
@pytest.mark.parametrize("times", [1, 2])
def test_an_async_function_in_a_plain_wrapper_is_refused(function, times):
    for _ in range(times):
        function = logged(function)
    with pytest.raises(TaskDefinitionError, match="plain def around an async one"):
        Pynenc().task(function)


@pytest.mark.skipif(not hasattr(inspect, "markcoroutinefunction"), reason="new in Python 3.12")
async def test_a_wrapper_that_is_marked_as_a_coroutine_function_is_awaited():
    task = Pynenc().task(inspect.markcoroutinefunction(logged(coroutine)))
    assert await task(3) == 3


async def test_a_wrapper_that_runs_the_coroutine_by_itself_says_so_by_wrapping_nothing():
    def in_a_loop_of_its_own(function):
        @functools.wraps(function)
        def wrapper(*args):
            return asyncio.run(function(*args))

        del wrapper.__wrapped__
        return wrapper

    assert await Pynenc().task(in_a_loop_of_its_own(coroutine))() == 1


@pytest.mark.parametrize("url", ["memory://", "sync://"])
@pytest.mark.parametrize("runs_in", ["thread", "loop"])
async def test_a_generator_that_its_wrapper_returns_is_no_success_for_nothing_has_run(url, runs_in):
    app = Pynenc(url)
    task = app.task(runs_in=runs_in)(logged(generator))
    invocation = task()
    with pytest.raises(TypeError, match="of which nothing has run"):
        await invocation
    assert invocation.status is InvocationStatus.FAILED


@pytest.mark.parametrize("url", ["memory://", "sync://"])
@pytest.mark.parametrize("runs_in", ["thread", "loop"])
async def test_a_coroutine_that_a_def_returns_is_no_success_with_middleware_either(url, runs_in):
    app = Pynenc(url)

    @app.middleware
    async def passes(_invocation, call_next):
        return await call_next()

    @app.task(runs_in=runs_in)
    def forgot_the_async():
        return coroutine()

    with pytest.raises(TypeError, match="returned a coroutine"):
        await forgot_the_async()


async def test_a_wrapper_that_reads_its_generator_is_a_task():
    def as_list(function):
        @functools.wraps(function)
        def wrapper():
            return list(function())

        return wrapper

    assert await Pynenc().task(as_list(generator))() == [1]


# -- names -------------------------------------------------------------------------------------------------------------


async def test_partials_of_one_function_need_names_and_the_refusal_says_how_to_give_one():
    app = Pynenc()
    app.task(functools.partial(coroutine, 1))
    with pytest.raises(TaskDefinitionError, match=r"@app\.task\(name="):
        app.task(functools.partial(coroutine, 2))
    third = app.task(name="third")(functools.partial(coroutine, 3))
    assert await third() == 3


STDIN = """
from pynenc_async import Pynenc
app = Pynenc()
@app.task(runs_in="process")
def work(n: int) -> int:
    return n
"""


def test_a_process_task_of_a_program_on_standard_input_is_refused_where_it_is_defined():
    done = subprocess.run(
        [sys.executable, "-"], input=STDIN, capture_output=True, text=True, check=False, cwd=ROOT, timeout=50
    )
    assert "TaskDefinitionError" in done.stderr
    assert "on standard input, which no other process can import" in done.stderr


# -- annotations -------------------------------------------------------------------------------------------------------


class Kind(enum.Enum):
    LARGE = "large"


class Colour(enum.Enum):
    RED = "red"


def takes(value: dict[Kind | Colour, int]) -> None:
    pass


def gives() -> dict[Kind | Colour, int]:
    return {}


async def yields():
    yield 1


yields.__annotations__["return"] = AsyncIterator[dict[Kind | Colour, int]]


def takes_what_comes_later(value: "Later") -> None:  # noqa: F821
    pass


@pytest.mark.parametrize(
    ("function", "whose"), [(takes, "parameter 'value'"), (gives, "return value"), (yields, "return")]
)
@pytest.mark.parametrize("way", ["process", "store"])
def test_an_annotation_of_which_nothing_can_be_decoded_is_refused_where_values_are_encoded(function, whose, way):
    app = Pynenc("sqlite:///jobs.db" if way == "store" else "memory://")
    options = {"runs_in": "process"} if way == "process" else {}
    with pytest.raises(TaskDefinitionError, match=f"{whose}.*goes through JSON"):
        app.task(**options)(function)


def test_it_is_accepted_where_none_are_encoded():
    assert Pynenc().task(takes)
    assert Pynenc("sync://").task(takes)


def test_an_annotation_that_names_what_is_defined_later_is_left_to_the_call():
    assert Pynenc("sqlite:///jobs.db").task(takes_what_comes_later)


# -- its own call, for later -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"delay": 60}, {"delay": 60, "detached": True}], ids=["delayed", "detached too"])
def test_a_body_may_call_its_own_task_for_later(options):
    async def scenario():
        app = Pynenc()
        runs = []

        @app.task
        async def tick():
            runs.append(None)
            if len(runs) < 3:
                tick.with_options(**options)()

        async with app:
            await tick()
            await asyncio.sleep(300)
        return len(runs)

    assert simulate(scenario).value == 3


async def test_a_body_may_call_its_own_task_detached():
    app = Pynenc()
    runs = []

    @app.task(detached=True)
    async def tick():
        runs.append(None)
        if len(runs) < 20:
            tick()

    async with app:
        await tick()
    assert len(runs) == 20


# -- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["memory://", "sync://"])
async def test_a_stream_may_be_closed_as_an_async_generator(url):
    task = Pynenc(url).task(items)
    async with aclosing(task().stream()) as stream:
        assert [item async for item in stream] == [1]
