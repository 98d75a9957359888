"""What is given to a body after a restart is what would have been given to it before, or the call was refused."""

import dataclasses
import datetime as dt
import typing
from typing import Any

import pydantic
import pytest
from helpers import S

from pynenc_async import RemoteError, SerializationError

pytestmark = pytest.mark.virtual


@dataclasses.dataclass(frozen=True)
class Order:
    number: int


@dataclasses.dataclass(frozen=True)
class Express(Order):
    by: str = "air"


class Login(pydantic.BaseModel):
    user: str
    password: pydantic.SecretStr


LOGIN = Login(user="ann", password="hunter2")  # noqa: S106
UNRESOLVED = "Missing"


def task_of(world, annotation, seen):
    async def work(value, **more):
        seen.append((value, list(more)))
        return value

    work.__module__, work.__qualname__ = "shop", "work"
    work.__annotations__ |= {"value": annotation, "return": annotation}
    app = world.app()
    return app, app.task(work)


KEPT = {
    "a dict in its order": (dict[str, int], {"z": 1, "a": 2}),
    "a dict in its order, in Any": (Any, {"z": {"y": 1, "b": 2}, "a": [None]}),
    "a dataclass": (Order, Order(1)),
    "a moment": (dt.datetime, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
    "an int where a float is annotated": (float, 1),
    "one of two types": (Order | None, None),
}


@pytest.mark.parametrize(("annotation", "value"), KEPT.values(), ids=KEPT)
async def test_a_body_is_given_the_same_before_and_after_a_restart(world, annotation, value):
    seen = []
    app, work = task_of(world, annotation, seen)
    async with app:
        await work(value, z=1, a=2)
        later = await work.with_options(delay=10).submit(value, z=1, a=2)
    app, work = task_of(world, annotation, seen)
    async with app:
        await app.get_invocation(later.invocation_id)
    before, after = seen
    assert repr(before) == repr(after) == repr((value, ["z", "a"]))


REFUSED = {
    "a subclass": (Order, Express(1), "arguments.value"),
    "a subclass in a list": (list[Order], [Order(1), Express(2)], "arguments.value[1]"),
    "a secret": (Login, LOGIN, "arguments.value.password"),
    "a tuple for a list": (list[int], (1,), "arguments.value"),
    "a tuple without an annotation": (Any, {"a": (1,)}, "arguments.value.a"),
    "another type than is annotated": (int, "1", "arguments.value"),
    "an annotation that cannot be resolved": (UNRESOLVED, 1, "arguments.value"),
    "an annotation with a part that cannot be resolved": (list[UNRESOLVED], [1], "arguments.value"),
}


@pytest.mark.parametrize(("annotation", "value", "field"), REFUSED.values(), ids=REFUSED)
async def test_what_would_come_back_changed_is_refused_at_the_call_and_stored_nowhere(world, annotation, value, field):
    app, work = task_of(world, annotation, [])
    async with app:
        with pytest.raises(SerializationError) as caught:
            work(value)
        with pytest.raises(SerializationError):
            work.with_options(delay=10)(value)
        with pytest.raises(SerializationError):
            await work.submit(value)
        assert app.invocations() == []
    assert caught.value.field == field
    assert "shop.work" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert world.rows() == []


async def test_an_annotation_that_cannot_be_resolved_is_named_with_the_fix(world):
    app, work = task_of(world, "list[Missing]", [])
    async with app:
        with pytest.raises(SerializationError, match=r"'list\[Missing\]' in task shop\.work cannot .*TYPE_CHECKING"):
            work([])


async def test_a_result_that_nobody_could_read_is_refused_before_the_work_is_done(world):
    ran = []

    async def work() -> "Missing":  # noqa: F821
        ran.append(1)

    app = world.app()
    async with app:
        with pytest.raises(SerializationError, match=r"^result: .*Missing"):
            app.task(work)()
    assert not ran


async def test_a_group_with_a_value_that_is_refused_runs_nothing(world):
    seen = []
    app, work = task_of(world, list[Order], seen)
    async with app:
        with pytest.raises(SerializationError, match=r"^arguments\.value\[0\]: "):
            work.parallelize([([Order(1)],), ([Express(2)],)])
    assert world.rows() == seen == []


async def test_a_call_that_is_refused_replaces_none(world):
    app, work = task_of(world, Order, [])
    work = work.with_options(registration_concurrency="task", on_duplicate="replace", delay=10)
    async with app:
        first = work(Order(1))
        with pytest.raises(SerializationError):
            work(Express(2))
        assert await first == Order(1)


LOST_RESULTS = {
    "a subclass": (Order, Express(1), "result"),
    "a secret": (Login, LOGIN, "result.password"),
    "a further key": (typing.TypedDict("Row", {"a": int}), {"a": 1, "b": 2}, "result.b"),
    "a set that is not annotated": (None, {1}, "result"),
    "a tuple in Any": (Any, (1,), "result"),
}


@pytest.mark.parametrize(("annotation", "value", "field"), LOST_RESULTS.values(), ids=LOST_RESULTS)
async def test_a_result_that_would_come_back_changed_ends_its_invocation(world, annotation, value, field):
    async def work():
        return value

    if annotation is not None:
        work.__annotations__["return"] = annotation
    app = world.app()
    async with app:
        invocation = app.task(work)()
        with pytest.raises(SerializationError) as caught:
            await invocation
        assert invocation.status is S.FAILED
    assert caught.value.field == field
    async with world.app() as other:
        other.task(work)
        assert isinstance(other.get_invocation(invocation.invocation_id).exception(), SerializationError)


async def test_a_result_of_which_nothing_is_said_may_be_a_tuple_and_comes_back_as_a_list(world):
    async def work():
        return 1, [(2,)]

    app = world.app()
    async with app:
        invocation = app.task(work)()
        await invocation
    async with world.app() as other:
        other.task(work)
        assert other.get_invocation(invocation.invocation_id).result == [1, [[2]]]


async def test_a_default_of_none_needs_no_annotation_of_its_own(world):
    seen = []

    async def work(value: int = None):  # noqa: RUF013
        seen.append(value)

    app = world.app()
    async with app:
        work = app.task(work)
        await work()
        await work(3)
    assert seen == [None, 3]


async def test_an_exception_that_is_no_error_comes_back_from_a_store_as_one(world):
    async def work() -> None:
        raise SystemExit(3)

    async with world.app() as app:
        invocation = app.task(work)()
        await invocation.wait()
        assert isinstance(invocation.exception(), SystemExit)
    async with world.app() as other:
        other.task(work)
        found = other.get_invocation(invocation.invocation_id)
        assert found.status is S.FAILED
        with pytest.raises(RemoteError) as caught:
            await found
        assert (caught.value.type_name, caught.value.message) == ("builtins.SystemExit", "3")
