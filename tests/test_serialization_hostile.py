"""Hostile payloads: whatever `from_json` is given, it returns a handle or raises `SerializationError` with a field."""

import asyncio
import builtins
import contextlib
import functools
import json
import sys

import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import DistributedInvocation, Pynenc, SerializationError, TaskDefinitionError

ARGUMENTS = {"n": 1, "text": "t", "more": [1, 2], "rest": {"k": 1}}


async def typed(n: int, text: str = "", *more: int, **rest: int) -> dict[str, int]:
    if n < 0:
        raise ValueError(text)
    return {"n": n}


async def untyped():
    return [1, {"a": None}]


def new_app():
    app = Pynenc()
    app.task(typed)
    app.task(untyped)
    return app


@functools.cache
def payloads() -> list[dict[str, object]]:
    """True payloads: a success, a failure, one without arguments, one that has not ended, a cancelled one."""

    async def make():
        app = new_app()
        one, other = app.get_task(f"{__name__}.typed"), app.get_task(f"{__name__}.untyped")
        ended = [one(1, "t", 1, 2, k=1), one(-1, "bad"), other()]
        for invocation in ended:
            await invocation.wait()
            invocation.exception()
        waiting, cancelled = one(2), one(3)
        await cancelled.cancel("no")
        texts = [invocation.to_json() for invocation in (*ended, waiting, cancelled)]
        await waiting
        return texts

    return [json.loads(text) for text in asyncio.run(make())]


def reject_or_accept(text):
    """Read a payload; any other error than the one that is promised fails the test."""
    try:
        invocation = DistributedInvocation.from_json(new_app(), text)
    except SerializationError as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert refused.field
        assert str(refused).startswith(refused.field)
        assert len(str(refused)) < 5_000
        return None
    # What was accepted must be usable.
    assert str(invocation)
    assert hash(invocation) == hash(invocation.invocation_id)
    _ = invocation.history, invocation.call_id, invocation.arguments.kwargs, invocation.num_retries
    _ = [entry.at for entry in invocation.history]
    if invocation.status.is_final():
        with contextlib.suppress(BaseException):
            _ = invocation.result
    assert reject_or_accept_again(invocation)
    return invocation


def reject_or_accept_again(invocation):
    return DistributedInvocation.from_json(new_app(), invocation.to_json()) == invocation


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw):
    """A payload in which a few members were replaced, removed, added or exchanged with another payload's."""
    payload = dict(draw(st.sampled_from(payloads())))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*payload, "unknown", "result", "error", "arguments"]))
        match draw(st.sampled_from(["replace", "remove", "exchange", "inner"])):
            case "replace":
                payload[name] = draw(json_values)
            case "remove":
                payload.pop(name, None)
            case "exchange":
                payload[name] = draw(st.sampled_from(payloads())).get(name)
            case "inner" if isinstance(payload.get(name), dict):
                inner = dict(payload[name])
                inner[draw(st.sampled_from([*inner, "unknown"]))] = draw(json_values)
                payload[name] = inner
    return json.dumps(payload)


@pytest.mark.slow
@settings(max_examples=examples(400), deadline=None)
@given(mutated())
def test_a_mutated_payload_is_read_or_refused(text):
    reject_or_accept(text)


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 4), st.integers(0, 2_000), st.binary(max_size=4), st.integers(0, 5))
def test_a_payload_with_broken_bytes_is_read_or_refused(which, position, insert, cut):
    data = json.dumps(payloads()[which]).encode()
    position %= len(data)
    reject_or_accept(data[:position] + insert + data[position + cut :])


@settings(max_examples=examples(100), deadline=None)
@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_anything_else_is_refused(text):
    assert reject_or_accept(text) is None


@pytest.mark.slow
def test_every_truncation_is_refused():
    text = json.dumps(payloads()[0])
    for end in range(len(text)):
        assert reject_or_accept(text[:end]) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"version": 2}, "version"),
        ({"version": "1"}, "version"),
        ({"task_id": "os.system"}, "task_id"),
        ({"task_id": 5}, "task_id"),
        ({"invocation_id": ""}, "invocation_id"),
        ({"invocation_id": None}, "invocation_id"),
        ({"status": "unheard_of"}, "status"),
        ({"status": "running"}, "ended_at"),
        ({"num_retries": -1}, "num_retries"),
        ({"num_retries": 1.5}, "num_retries"),
        ({"registered_at": "now"}, "registered_at"),
        ({"registered_at": 1e300}, "registered_at"),
        ({"arguments": []}, "arguments"),
        ({"arguments": {}}, "arguments.n"),
        ({"arguments": {**ARGUMENTS, "extra": 1}}, "arguments.extra"),
        ({"arguments": {**ARGUMENTS, "n": "1"}}, "arguments.n"),
        ({"arguments": {**ARGUMENTS, "more": [1, "2"]}}, "arguments.more[1]"),
        ({"arguments": {**ARGUMENTS, "rest": {"k": "v"}}}, "arguments.rest[...]"),
        ({"arguments": json.dumps(ARGUMENTS)}, "arguments"),
        ({"result": {"n": "x"}}, "result[...]"),
        ({"unknown": 1}, "unknown"),
    ],
    ids=str,
)
def test_the_field_that_is_wrong_is_named(change, field):
    with pytest.raises(SerializationError) as caught:
        DistributedInvocation.from_json(new_app(), json.dumps({**payloads()[0], **change}))
    assert caught.value.field == field


@pytest.mark.parametrize("wrong", [None, 5, {}, object(), ["x"]], ids=str)
def test_what_is_not_text_is_refused(wrong):
    with pytest.raises((SerializationError, TypeError)):
        DistributedInvocation.from_json(new_app(), wrong)


def test_depth_and_size_are_no_weapons():
    deep = "[" * 200_000 + "]" * 200_000
    text = json.dumps({**payloads()[2], "result": "@"}).replace('"@"', deep)
    assert reject_or_accept(text) is None
    reject_or_accept(json.dumps({**payloads()[0], "num_retries": 10**400}))
    reject_or_accept(json.dumps({**payloads()[0], "num_retries": 2**63}))
    reject_or_accept(json.dumps({**payloads()[1], "error": {"type_name": "x" * 10**6, "message": "y" * 10**6}}))


@pytest.mark.parametrize(
    "type_name",
    [
        "os.system",
        "builtins.exec",
        "builtins.object",
        "antigravity.Error",
        "this.Error",
        "pynenc_async.app.Pynenc",
        "builtins.ValueError.__init__",
        "..",
        "",
        "builtins.",
        "test_serialization_hostile.Trap",
    ],
)
def test_no_class_is_made_or_imported_because_a_payload_names_it(type_name):
    known = set(sys.modules)
    error = {"type_name": type_name, "message": "m", "args": ["touch /tmp/x"], "traceback": ""}
    invocation = DistributedInvocation.from_json(new_app(), json.dumps({**payloads()[1], "error": error}))
    assert type(invocation.exception()).__name__ == "RemoteError"
    assert set(sys.modules) == known
    assert Trap.made == 0
    assert builtins.ValueError is ValueError


class Trap:
    made = 0

    def __init__(self, *_):
        type(self).made += 1


def test_a_task_of_the_payload_is_looked_up_and_never_made():
    app = new_app()
    with contextlib.suppress(TaskDefinitionError), pytest.raises(SerializationError):
        DistributedInvocation.from_json(app, json.dumps({**payloads()[2], "task_id": "os.getcwd"}))
    assert len(app.tasks) == 2
