"""Sync mode: identity, and what the app knows."""

import gc
import weakref

import pytest
from helpers import S

from pynenc_async import InvocationNotFoundError, Pynenc, SerializationError, SynchronousInvocation, current_invocation


def test_identity(app):
    @app.task
    def add(x, y):
        return x + y

    invocation, other = add(1, y=2), add(1, 2)
    assert invocation.call == other.call
    assert invocation.call_id == other.call_id
    assert invocation.arguments.kwargs == {"x": 1, "y": 2}
    assert invocation.serialized_arguments == {"x": "1", "y": "2"}
    assert invocation.app is app
    assert invocation.task.task_id == add.task_id
    assert invocation != other
    assert invocation != "no invocation"
    assert len({invocation, other, invocation}) == 2
    assert all(part in str(invocation) for part in ("SynchronousInvocation", invocation.invocation_id, add.task_id))


def test_it_cannot_be_serialized(app):
    @app.task
    def noop():
        pass

    with pytest.raises(SerializationError, match="synchronous"):
        noop().to_json()
    with pytest.raises(SerializationError, match="synchronous"):
        SynchronousInvocation.from_json(app, "{}")


def test_the_app_finds_what_is_held_and_what_has_ended(app):
    @app.task
    def noop():
        pass

    @app.task
    async def items():
        yield 1

    unread, ended = items(), noop()
    ended.blocking_result()
    ended_id = ended.invocation_id
    del ended
    assert app.get_invocation(ended_id).status is S.SUCCESS
    assert app.get_invocation(unread.invocation_id) is unread
    assert app.invocations(status=S.REGISTERED, task=items) == [unread]
    assert app.statistics().by_status == {S.REGISTERED: 1, S.SUCCESS: 1}
    assert app.find_invocation("unknown") is None


def test_a_stream_that_was_never_read_is_gone_with_its_handle(app):
    @app.task
    async def items():
        yield 1

    handle = weakref.ref(items())
    gc.collect()
    assert handle() is None
    assert app.invocations() == []


async def test_an_app_may_be_entered_and_left(app):
    @app.task
    def noop():
        return "value"

    async with app:
        assert await noop() == "value"


def test_run_serves_a_script(app):
    @app.task
    async def double(x):
        return 2 * x

    async def main():
        return await double(2)

    assert app.run(main) == 4


def test_two_synchronous_apps_share_no_family(app):
    @app.task
    def child():
        return current_invocation().parent_invocation_id

    @Pynenc("sync://").task
    def parent():
        return child().result

    assert parent().result is None


async def test_apps_of_both_kinds_work_together(app):
    other = Pynenc()

    @app.task
    async def inline(x):
        return await in_loop(x) + 1

    @other.task
    async def in_loop(x):
        return x * 2

    @other.task
    async def outer(x):
        invocation = inline(x)
        assert invocation.parent_invocation_id is None
        return await invocation

    async with other:
        assert await inline(1) == await outer(1) == 3


def test_the_environment_forces_it(monkeypatch):
    monkeypatch.setenv("PYNENC__DEV_MODE_FORCE_SYNC_TASKS", "true")
    app = Pynenc("memory://")

    @app.task
    def noop():
        return "value"

    assert isinstance(noop(), SynchronousInvocation)
    assert noop().result == "value"


def test_the_app_keeps_as_many_ended_invocations_as_it_was_told():
    app = Pynenc("sync://", retain_count=2)

    @app.task
    def double(n):
        return 2 * n

    ids = []
    for n in range(4):
        invocation = double(n)
        assert invocation.result == 2 * n
        ids.append(invocation.invocation_id)
    del invocation
    gc.collect()
    assert [app.get_invocation(each).result for each in ids[2:]] == [4, 6]
    for each in ids[:2]:
        with pytest.raises(InvocationNotFoundError):
            app.get_invocation(each)
