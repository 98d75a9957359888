"""What every handle has: identity, members, and what it is not."""

import contextlib
import copy
import pickle

import pytest
from helpers import S, statuses
from test_handle import World

from pynenc_async import BaseInvocation, DistributedInvocation, InvocationNotFoundError, Pynenc


async def test_every_member_of_an_invocation():
    world = World()
    invocation = world.echo("x")
    assert isinstance(invocation, DistributedInvocation)
    assert isinstance(invocation, BaseInvocation)
    assert invocation.app is world.app
    assert invocation.task is world.echo
    assert invocation.arguments.kwargs == {"value": "x"}
    assert invocation.call.task is world.echo
    assert invocation.call.arguments == invocation.arguments
    assert invocation.serialized_arguments == {"value": '"x"'}
    assert invocation.call_id == invocation.call.call_id
    assert isinstance(invocation.invocation_id, str)
    assert invocation.invocation_id
    assert invocation.num_retries == 0
    assert invocation.parent_invocation_id is None
    await invocation
    assert invocation.status is S.SUCCESS
    assert statuses(invocation) == [S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]
    assert [entry.order for entry in invocation.history] == [0, 1, 2, 3]
    assert [entry.attempt for entry in invocation.history] == [0, 1, 1, 1]
    assert len({entry.runner_id for entry in invocation.history}) == 1


async def test_equality_and_hash_go_by_the_id():
    world = World()
    one, other = world.echo(1), world.echo(1)
    found = world.app.get_invocation(one.invocation_id)
    assert one == found
    assert hash(one) == hash(found)
    assert one != other
    assert len({one, other, found}) == 2
    for foreign in (1, one.invocation_id, None, object(), one.call):
        assert one != foreign
        assert not one == foreign  # noqa: SIM201  # __eq__ itself
    await one
    await other


async def test_str_and_repr_name_class_id_task_and_status_and_no_argument_which_may_be_secret():
    world = World()
    invocation = world.echo("some value")
    for status in ("registered", "success"):
        for text in (str(invocation), repr(invocation)):
            assert "DistributedInvocation" in text
            assert invocation.invocation_id in text
            assert world.echo.task_id in text
            assert status in text
            assert "some value" not in text
        await invocation


async def test_a_handle_has_no_room_for_strange_attributes():
    invocation = World().echo(1)
    with pytest.raises(AttributeError):
        invocation.extra = 1
    for name in ("status", "result", "invocation_id", "history"):
        with pytest.raises(AttributeError):
            setattr(invocation, name, None)
    await invocation


async def test_an_app_finds_its_invocations():
    world = World()
    one, two = world.echo(1), world.held(2)
    await one
    assert world.app.get_invocation(one.invocation_id) is one
    assert world.app.invocations() == [one, two]
    assert world.app.invocations(task=world.held) == [two]
    assert world.app.invocations(status=S.SUCCESS) == [one]
    for unknown in ("", "x", "0" * 32, one.invocation_id + "0", one.invocation_id.upper() + "!", "é", "-1"):
        with pytest.raises(InvocationNotFoundError):
            world.app.get_invocation(unknown)
        with contextlib.suppress(InvocationNotFoundError):
            Pynenc().get_invocation(one.invocation_id)
            pytest.fail("another app knows the id")
    world.gate.open()
    await two


async def test_a_stream_is_only_for_async_generators():
    world = World()
    invocation = world.echo(1)
    with pytest.raises(TypeError, match="not an async generator"):
        invocation.stream()
    await invocation


async def test_a_copy_of_a_handle_is_the_handle_and_it_travels_as_json_only():
    invocation = World().echo(1)
    assert copy.copy(invocation) is invocation
    assert copy.deepcopy({"kept": [invocation]})["kept"][0] is invocation
    with pytest.raises(TypeError, match="to_json"):
        pickle.dumps(invocation)
    await invocation
