"""`to_json` and `from_json`: one flat JSON object there, a handle back."""

import asyncio
import dataclasses
import datetime as dt
import enum
import json
import uuid
from typing import NamedTuple

import msgspec
import pydantic
import pytest
from helpers import Gate, S, statuses, turns

from pynenc_async import (
    DistributedInvocation,
    InvocationCancelledError,
    InvocationNotFinalError,
    InvocationNotFoundError,
    Pynenc,
)


class ShopError(Exception):
    """Known here: the tasks are of this module."""

    def __init__(self, item: str, *, price: int) -> None:
        super().__init__(item, price)
        self.item = item
        self.price = price


class Colour(enum.Enum):
    RED = "red"


class Pair(NamedTuple):
    left: int
    right: str


@dataclasses.dataclass
class Point:
    x: int
    when: dt.datetime


class Order(msgspec.Struct):
    id: uuid.UUID
    points: list[Point]


class Customer(pydantic.BaseModel):
    name: str
    born: dt.date


WHEN = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
VALUES = {
    "point": (Point, Point(1, WHEN)),
    "order": (Order, Order(uuid.UUID(int=5), [Point(2, WHEN)])),
    "customer": (Customer, Customer(name="Ada", born=dt.date(1815, 12, 10))),
    "colour": (Colour, Colour.RED),
    "pair": (Pair, Pair(1, "b")),
    "when": (dt.datetime, WHEN),
    "id": (uuid.UUID, uuid.UUID(int=9)),
    "many": (dict[str, list[Point]], {"a": [Point(3, WHEN)]}),
    "either": (int | None, None),
    "bytes": (bytes, b"\x00\xff"),
    "set": (set[int], {1, 2, 3}),
}


def new_app():
    """Return an app with the tasks of this module: another process that imports the same code."""
    app = Pynenc()

    async def echo(value):
        return value

    async def held(value):
        await gates[value].wait()
        return value

    async def fail(error):
        raise error if not isinstance(error, str) else ShopError(error, price=3)

    async def spread(a, /, b=2, *more, c, **rest):
        return None

    return {function.__name__: app.task(function) for function in (echo, held, fail, spread)} | {"app": app}


gates: dict[object, Gate] = {}


def elsewhere(invocation):
    """Send an invocation to another app."""
    return DistributedInvocation.from_json(new_app()["app"], invocation.to_json())


async def in_status(status):
    """Return an invocation that has this status."""
    tasks = new_app()
    if status is S.SUCCESS:
        invocation = tasks["echo"]({"n": 1})
        await invocation
    elif status is S.FAILED:
        invocation = tasks["fail"]("bread")
        await invocation.wait()
        invocation.exception()
    elif status is S.REGISTERED:
        invocation = tasks["echo"](1)
    else:
        gates["x"] = Gate()
        invocation = tasks["held"]("x")
        await turns(3)
        if status is S.CANCELLED:
            await invocation.cancel("enough")
    assert invocation.status is status
    return invocation


async def finish(invocation):
    """Leave no work behind."""
    if gate := gates.pop("x", None):
        gate.open()
    await invocation.wait()
    await turns(2)


every_status = pytest.mark.parametrize("status", [S.REGISTERED, S.RUNNING, S.SUCCESS, S.FAILED, S.CANCELLED])


@every_status
async def test_an_invocation_of_any_status_makes_the_round_trip(status):
    invocation = await in_status(status)
    text = invocation.to_json()
    restored = elsewhere(invocation)
    assert type(restored) is DistributedInvocation
    assert restored is not invocation
    assert restored == invocation
    assert hash(restored) == hash(invocation)
    for name in ("invocation_id", "call_id", "status", "num_retries", "parent_invocation_id", "serialized_arguments"):
        assert getattr(restored, name) == getattr(invocation, name), name
    assert restored.arguments.kwargs == invocation.arguments.kwargs
    assert restored.call.task.task_id == invocation.task.task_id
    assert restored.to_json() == text
    assert restored.invocation_id in repr(restored)
    await finish(invocation)


@every_status
async def test_the_json_is_one_flat_versioned_object(status):
    invocation = await in_status(status)
    written = json.loads(invocation.to_json())
    assert written["version"] == 1
    assert written["invocation_id"] == invocation.invocation_id
    assert written["task_id"] == invocation.task.task_id
    assert written["status"] == status.value
    assert written["runner_id"] == invocation.history[0].runner_id
    assert isinstance(written["arguments"], dict)
    for name, value in written.items():
        if isinstance(value, str):
            assert not value.lstrip().startswith(("{", "[", '"')), f"{name} is JSON inside a string"
    assert ("result" in written) is (status is S.SUCCESS)
    await finish(invocation)


@every_status
async def test_the_app_that_knows_the_id_returns_the_living_invocation(status):
    invocation = await in_status(status)
    assert DistributedInvocation.from_json(invocation.app, invocation.to_json()) is invocation
    assert DistributedInvocation.from_json(invocation.app, invocation.to_json().encode()) is invocation
    await finish(invocation)


@pytest.mark.parametrize("status", [S.REGISTERED, S.RUNNING])
async def test_waiting_for_a_restored_handle_that_has_not_ended_says_that_it_is_not_found(status):
    invocation = await in_status(status)
    restored = elsewhere(invocation)

    async def waiting():
        return await restored

    for wait in (waiting, restored.wait, restored.cancel):
        with pytest.raises(InvocationNotFoundError, match=invocation.invocation_id):
            await wait()
    with pytest.raises((InvocationNotFoundError, InvocationNotFinalError)):
        _ = restored.result
    with pytest.raises(InvocationNotFoundError):
        await asyncio.to_thread(restored.blocking_result, 5)
    assert restored.status is status
    await finish(invocation)


async def test_a_restored_success_has_its_result():
    restored = elsewhere(await in_status(S.SUCCESS))
    assert restored.result == await restored == {"n": 1}
    assert restored.exception() is None
    assert await restored.wait() is True
    assert await restored.cancel() == "finished"


async def test_a_restored_failure_has_its_exception():
    restored = elsewhere(await in_status(S.FAILED))
    error = restored.exception()
    assert isinstance(error, ShopError)
    assert (error.item, error.price, error.args) == ("bread", 3, ("bread", 3))
    assert "in fail" in "".join(error.__notes__), "the remote traceback is there"
    for _ in range(2):
        with pytest.raises(ShopError) as caught:
            await restored
        assert caught.value is error


async def test_a_restored_cancellation_has_its_reason():
    restored = elsewhere(await in_status(S.CANCELLED))
    with pytest.raises(InvocationCancelledError, match="enough") as caught:
        await restored
    assert caught.value.invocation_id == restored.invocation_id
    assert caught.value.reason == "enough"


async def test_a_restored_history_says_what_is_known():
    for status in (S.SUCCESS, S.FAILED, S.CANCELLED):
        invocation = await in_status(status)
        restored = elsewhere(invocation)
        assert statuses(restored) == statuses(invocation)
        assert {one.runner_id for one in restored.history} == {one.runner_id for one in invocation.history}
        assert restored.history[0].timestamp == invocation.history[0].timestamp
        assert restored.history[-1].timestamp == invocation.history[-1].timestamp


async def test_the_parent_travels_along():
    tasks = new_app()

    @tasks["app"].task
    async def parent():
        return tasks["echo"](1)

    invocation = parent()
    child = await invocation
    await child
    assert elsewhere(child).parent_invocation_id == invocation.invocation_id
