"""Arguments, results and exceptions in JSON: typed by annotations, originals where they are known."""

import json
from asyncio import CancelledError
from typing import Any

import msgspec
import pytest
from helpers import S
from test_serialization import VALUES, elsewhere, new_app

from pynenc_async import (
    DistributedInvocation,
    InvocationError,
    Pynenc,
    RemoteError,
    SerializationError,
)


@pytest.mark.parametrize("name", VALUES)
async def test_arguments_and_results_come_back_as_the_annotations_say(name):
    annotation, value = VALUES[name]

    async def typed(value, *more, key=None, **rest):
        return value

    for place in ("value", "more", "key", "rest", "return"):
        typed.__annotations__[place] = annotation
    typed.__annotations__["key"] = annotation | None
    invocation = Pynenc().task(typed)(value, value, key=value, other=value)
    await invocation
    app = Pynenc()
    app.task(typed)
    restored = DistributedInvocation.from_json(app, invocation.to_json())
    expected = {"value": value, "more": (value,), "key": value, "rest": {"other": value}}
    assert restored.arguments.kwargs == expected
    assert restored.result == value
    assert type(restored.result) is type(value)
    assert restored.call_id == invocation.call_id


async def test_all_kinds_of_parameters_travel():
    tasks = new_app()
    invocation = tasks["spread"](1, 3, 4, 5, c=6, d=7)
    restored = elsewhere(invocation)
    assert restored.arguments.kwargs == {"a": 1, "b": 3, "more": (4, 5), "c": 6, "rest": {"d": 7}}
    assert restored.call_id == invocation.call_id
    await invocation


async def test_the_result_of_an_async_generator_is_not_decoded_as_its_annotation():
    async def count(n: int):
        yield n

    count.__annotations__["return"] = "AsyncIterator[int]"
    one, other = Pynenc(), Pynenc()
    invocation = one.task(count)(1)
    await invocation
    other.task(count)
    restored = DistributedInvocation.from_json(other, invocation.to_json())
    assert restored.result is None
    with pytest.raises(InvocationError):
        _ = [item async for item in restored.stream()]


async def test_a_result_that_cannot_be_encoded_fails_only_when_encoding_was_asked_for():
    task = new_app()["echo"]
    value = {"inner": [1, object()]}
    invocation = task(1)
    await invocation
    failing = task.app.task(make_unencodable)()
    assert isinstance((await failing)["inner"][1], object)
    assert failing.status is S.SUCCESS
    with pytest.raises(SerializationError, match=failing.task.task_id) as caught:
        failing.to_json()
    assert caught.value.field == "result.inner[1]"
    given_object = task(value)
    with pytest.raises(SerializationError, match=task.task_id) as caught:
        given_object.to_json()
    assert caught.value.field == "arguments.value.inner[1]"
    assert await given_object is value


async def make_unencodable():
    return {"inner": [1, object()]}


async def test_an_exception_of_an_unknown_class_comes_back_as_remote_error():
    class LocalError(Exception):
        pass

    invocation = new_app()["fail"](LocalError("hidden"))
    await invocation.wait()
    invocation.exception()
    with pytest.raises(SerializationError):
        invocation.to_json()  # the argument is an exception
    raising = new_app()["app"].task(raise_local)()
    await raising.wait()
    assert type(raising.exception()).__name__ == "LocalError"
    app = Pynenc()
    app.task(raise_local)
    error = DistributedInvocation.from_json(app, raising.to_json()).exception()
    assert isinstance(error, RemoteError)
    assert error.type_name.endswith("LocalError")
    assert error.message == "hidden"
    assert "raise_local" in error.traceback


async def raise_local():
    class LocalError(Exception):
        pass

    raise LocalError("hidden")


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("k"), TimeoutError(), OSError(2, "no", "f")])
async def test_an_exception_of_the_standard_library_comes_back_as_itself(error):
    async def fail():
        try:
            raise RuntimeError("cause")
        except RuntimeError as cause:
            error.add_note("a note")
            raise error from cause

    one, other = Pynenc(), Pynenc()
    invocation = one.task(fail)()
    await invocation.wait()
    invocation.exception()
    other.task(fail)
    restored = DistributedInvocation.from_json(other, invocation.to_json()).exception()
    assert type(restored) is type(error)
    assert restored.args == error.args
    assert str(restored) == str(error)
    assert restored.__notes__[0] == "a note"
    assert isinstance(restored.__cause__, RuntimeError)


@pytest.mark.parametrize("ending", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), CancelledError()], ids=repr)
async def test_an_exception_that_is_no_error_comes_back_as_one(ending):
    async def fail():
        raise ending

    one, other = Pynenc(), Pynenc()
    invocation = one.task(fail)()
    await invocation.wait()
    invocation.exception()
    other.task(fail)
    data = json.loads(invocation.to_json())
    data["error"]["type_name"] = f"{type(ending).__module__}.{type(ending).__name__}"
    restored = DistributedInvocation.from_json(other, json.dumps(data))
    assert isinstance(restored.exception(), RemoteError | InvocationError)
    with pytest.raises((RemoteError, InvocationError)):
        await restored


async def test_a_task_that_this_app_does_not_have_is_named():
    invocation = new_app()["echo"](1)
    await invocation
    with pytest.raises(SerializationError, match="import the module") as caught:
        DistributedInvocation.from_json(Pynenc(), invocation.to_json())
    assert caught.value.field == "task_id"


class Animal(msgspec.Struct):
    name: str


class Dog(Animal):
    breed: str = "mutt"


UNRESOLVED = "Missing"
LOSSY = {
    "a subclass": (Animal, Dog("rex"), "value"),
    "a tuple in Any": (Any, {"a": (1,)}, "value.a"),
    "another type than is annotated": (int, True, "value"),
    "an annotation that cannot be resolved": (list[UNRESOLVED], [1], "value"),
}


@pytest.mark.parametrize(("annotation", "value", "path"), LOSSY.values(), ids=LOSSY)
async def test_to_json_refuses_what_from_json_would_change(annotation, value, path):
    async def take(value): ...

    async def give():
        return value

    take.__annotations__["value"] = give.__annotations__["return"] = annotation
    taken, given_back = Pynenc().task(take)(value), Pynenc().task(give)()
    assert await taken is None
    assert await given_back is value
    for invocation, field in ((taken, f"arguments.{path}"), (given_back, path.replace("value", "result"))):
        with pytest.raises(SerializationError) as caught:
            invocation.to_json()
        assert caught.value.field == field


async def test_dicts_and_keywords_keep_their_order():
    async def take(value: dict[str, int], **more: int) -> dict[str, int]:
        return value

    invocation = Pynenc().task(take)({"z": 1, "a": 2}, y=1, b=2)
    await invocation
    app = Pynenc()
    app.task(take)
    restored = DistributedInvocation.from_json(app, invocation.to_json())
    assert [list(one) for one in restored.arguments.kwargs.values()] == [["z", "a"], ["y", "b"]]
    assert list(restored.result) == ["z", "a"]
    assert restored.call_id == invocation.call_id
