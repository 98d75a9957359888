"""What `with_options` said holds after a restart, wherever the invocation is run; or the call is refused."""

import asyncio
import datetime as dt
import json
import types

import msgspec
import pytest
from durable_options import Flaky, is_flaky
from helpers import S

from pynenc_async import InvalidTaskOptionsError, Pynenc, Rate, SerializationError
from pynenc_async.options import RULES

pytestmark = pytest.mark.virtual
ATTEMPTS = []


class OwnError(Exception):
    """Of the module of the task."""


class Holder:
    class InnerError(Exception):
        pass


def is_connection(error):
    return isinstance(error, ConnectionError)


async def work(error=None):
    ATTEMPTS.append(error)
    if error is not None:
        raise KINDS[error]


KINDS = {
    "own": OwnError(),
    "inner": Holder.InnerError(),
    "imported": Flaky(),
    "builtin": ConnectionResetError(),
    "other": ZeroDivisionError(),
}


@pytest.fixture(autouse=True)
def attempts():
    ATTEMPTS.clear()
    return ATTEMPTS


async def after_restart(world, options, *args, body=work, **own):
    """Submit with `options`, start again, and return the invocation when it has ended."""
    async with world.app() as app:
        later = await app.task(**own)(body).with_options(delay=10, **options).submit(*args)
    app = world.app()
    app.task(**own)(body)
    async with app:
        invocation = app.get_invocation(later.invocation_id)
        await invocation.wait()
        invocation.exception()
        return invocation


RETRIED = {
    "a class of the task's module": ({"retry_for": OwnError}, "own", 3),
    "a class in a class": ({"retry_for": Holder.InnerError}, "inner", 3),
    "a class of another module": ({"retry_for": (KeyError, Flaky)}, "imported", 3),
    "a class of the standard library": ({"retry_for": ConnectionError}, "builtin", 3),
    "another class than was raised": ({"retry_for": ConnectionError}, "own", 1),
    "no class": ({"retry_for": ()}, "own", 1),
    "a class that is not retried": ({"no_retry_for": OwnError}, "own", 1),
    "another class that is not retried": ({"no_retry_for": (OwnError, Flaky)}, "builtin", 3),
    "a predicate of the task's module": ({"retry_if": is_connection}, "builtin", 3),
    "a predicate that says no": ({"retry_if": is_connection}, "own", 1),
    "a predicate of another module": ({"retry_if": is_flaky}, "imported", 3),
}


@pytest.mark.parametrize(("options", "error", "runs"), RETRIED.values(), ids=RETRIED)
async def test_what_is_retried_is_decided_alike_after_a_restart(world, options, error, runs):
    await after_restart(world, {"max_retries": 2, **options}, error)
    assert len(ATTEMPTS) == runs


async def test_a_predicate_can_be_taken_away(world):
    await after_restart(world, {"retry_if": None}, "own", retry_if=is_connection, max_retries=2)
    assert len(ATTEMPTS) == 3


GIVEN = {
    "max_retries": 4,
    "retry_for": (OwnError, KeyError),
    "no_retry_for": (Flaky,),
    "retry_if": is_connection,
    "retry_delay": dt.timedelta(seconds=1.5),
    "retry_backoff": 2,
    "retry_max_delay": 60,
    "retry_jitter": True,
    "max_crashes": 5,
    "timeout": 7.5,
    "deadline": 100,
    "expires_in": dt.timedelta(minutes=2),
    "cancel_grace": 3,
    "registration_concurrency": "keys",
    "on_different_arguments_raise": True,
    "unique_for": 50,
    "running_concurrency": "keys",
    "running_limit": 3,
    "running_total": 2**62,
    "rate_limit": Rate(5, per=2.5, scope="arguments"),
    "on_limit": "drop",
    "key_arguments": ("error",),
    "priority": -3,
    "detached": True,
    "detect_cycles": False,
    "workflow": True,
    "runs_in": "loop",
}
INSTEAD = {"registration_concurrency": "task", "on_duplicate": "skip", "unique_until": "finished"}
OF_STREAMS = {"stream_buffer": 17}
MOMENTS = {"delay", "at"}


def test_all_options_are_tried():
    assert GIVEN.keys() | INSTEAD.keys() | OF_STREAMS.keys() | MOMENTS == RULES.keys()


async def items():
    yield 1


@pytest.mark.parametrize(("body", "given"), [(work, GIVEN), (work, INSTEAD), (items, OF_STREAMS)])
async def test_every_option_holds_after_a_restart(world, body, given):
    invocation = await after_restart(world, given, body=body)
    assert invocation.status is S.SUCCESS
    expected = Pynenc().task(body).with_options(**given).options
    kept = invocation.task.options
    assert {name: getattr(kept, name) for name in given} == {name: getattr(expected, name) for name in given}


async def test_the_moment_of_a_start_holds_after_a_restart(world):
    started = asyncio.get_running_loop().time()
    await after_restart(world, {})
    assert asyncio.get_running_loop().time() - started == pytest.approx(10, abs=1)


class LocalErrors:
    """Makes what has no name."""

    def __call__(self, error):
        return True

    def method(self, error):
        return True

    @staticmethod
    def make():
        class HiddenError(Exception):
            pass

        return HiddenError


Renamed = types.new_class("OtherNameError", (Exception,))
NAMELESS = {
    "a local class": ("retry_for", LocalErrors.make()),
    "one local class of several": ("no_retry_for", (KeyError, LocalErrors.make())),
    "a class under another name": ("retry_for", Renamed),
    "a lambda": ("retry_if", lambda _: True),
    "an object": ("retry_if", LocalErrors()),
    "a method": ("retry_if", LocalErrors().method),
    "a built-in function": ("retry_if", bool),
    "a function that the module of the task does not know": ("retry_if", json.dumps),
}


@pytest.mark.parametrize(("option", "code"), NAMELESS.values(), ids=NAMELESS)
async def test_code_that_could_not_be_found_again_is_refused_at_the_call(world, option, code):
    async with world.app() as app:
        task = app.task(work).with_options(max_retries=2, **{option: code})
        for call in (task, lambda: task.parallelize([()]), task.with_options(registration_concurrency="task")):
            with pytest.raises(InvalidTaskOptionsError, match="by its name; define it") as caught:
                call()
            assert caught.value.option == option
        assert app.invocations() == []
    assert world.rows() == []


async def test_a_task_may_have_code_without_a_name_of_its_own(world):
    app = world.app()
    task = app.task(retry_if=lambda _: True, max_retries=2)(work)
    async with app:
        await task.with_options(timeout=5)("own").wait()
    assert len(ATTEMPTS) == 3


HOSTILE = {
    "no class of exceptions": {"retry_for": ["builtins:int"]},
    "a module that is not loaded": {"retry_for": ["antigravity:Error"]},
    "no name": {"no_retry_for": ["", "x", ":", 7]},
    "a function that nobody has imported": {"retry_if": "json:dumps"},
    "a built-in function": {"retry_if": "builtins:exec"},
    "a class as a predicate": {"retry_if": ":OwnError"},
    "another program": {"retry_if": "__main__:main"},
}


@pytest.mark.parametrize("written", HOSTILE.values(), ids=HOSTILE)
async def test_what_a_file_names_is_never_imported_and_no_other_code_is_called(world, written):
    async with world.app() as app:
        later = await app.task(work).with_options(delay=10, timeout=5).submit("own")
    rows, changed = world.hub.tables.invocations, {"options": json.dumps(written).encode()}
    rows[later.invocation_id] = msgspec.structs.replace(rows[later.invocation_id], **changed)
    app = world.app()
    app.task(work)
    async with app:
        with pytest.raises(SerializationError, match="is not here") as caught:
            await app.get_invocation(later.invocation_id)
    assert caught.value.field in {f"options.{name}" for name in written}
    assert not ATTEMPTS


async def test_a_schedule_with_code_that_could_not_be_found_again_is_refused_where_it_is_declared(world):
    app = world.app()
    task = app.task(work)
    with pytest.raises(InvalidTaskOptionsError, match="retry_if"):
        app.every(60, max_retries=2, retry_if=lambda _: True)(task)
    app.every(60, max_retries=2, retry_if=is_connection)(task)
    app.every(60, max_retries=2, retry_if=lambda _: True)(other_work)


async def other_work(): ...
