"""The call that a trigger fires: its arguments, what is joined for it, its cause, its options."""

import asyncio
import contextvars

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, statuses, turns
from trigger_world import reporter, settled, worker

from pynenc_async import (
    Pass,
    Pynenc,
    current_invocation,
    emitted,
    reached,
    succeeded,
)


async def test_arguments_are_constants_or_made_of_the_event():
    app = Pynenc()
    work = worker(app)
    calls = []

    @app.task
    async def note(a=None, b=None):
        calls.append((a, b))

    for name, arguments in {
        "none": Pass.NOTHING,
        "tuple": (1, 2),
        "dict": {"b": 3},
        "args": note.args(4, b=5),
        "values": Pass.VALUES,
        "event": lambda event: (event.result, event.trigger),
        "by name": lambda event: {"b": event[work].arguments["n"]},
        "bound": lambda event: note.args(b=event.last.value),
    }.items():
        app.on(succeeded(work), name=name, arguments=arguments)(note)
    await work(9)
    await settled(app)
    assert calls == [
        (None, None), (1, 2), (None, 3), (4, 5), (9, None), (9, "event"), (None, 9), (None, 9),
    ]  # fmt: skip


async def test_an_and_passes_its_occurrences_in_the_order_in_which_they_are_written():
    app = Pynenc()
    work, other = worker(app), app.task(lambda: "other")
    values, events = [], reporter(app, succeeded(work) & succeeded(other) & emitted("go"))

    @app.on(emitted("go") & succeeded(work) & succeeded(other), arguments=Pass.VALUES)
    @app.task
    async def note(*args):
        values.append(args)

    await other()
    await work(4)
    app.emit("go", "now")
    await settled(app)
    assert values == [("now", 4, "other")]
    [event] = events
    assert (event[work].result, event[other.task_id].result, event["go"].payload) == (4, "other", "now")
    assert event.last is event["go"]
    assert event.payload == "now"
    with pytest.raises(KeyError):
        event["stop"]


async def test_occurrences_are_joined_by_key():
    app = Pynenc()
    paid = worker(app)

    @app.task
    async def pack(order):
        return f"packed {order}"

    seen = reporter(
        app, succeeded(paid) & succeeded(pack), by=lambda one: one.arguments.get("order", one.arguments.get("n"))
    )
    [trigger] = app.triggers.values()
    for handle in [paid(1), paid(2), pack(3), pack(2)]:
        await handle
    await settled(app)
    assert [(event.key, event[pack].result) for event in seen] == [(2, "packed 2")]
    assert trigger.pending == 2
    await paid(3)
    await settled(app)
    assert [event.key for event in seen] == [2, 3]
    assert (trigger.pending, trigger.fired) == (1, 2)


@pytest.mark.virtual
async def test_what_lies_further_apart_than_within_is_not_joined():
    app = Pynenc()
    work = worker(app)
    seen = reporter(app, succeeded(work) & emitted("go"), within=10)
    await work(1)
    await asyncio.sleep(11)
    assert app.emit("go") == ()
    await asyncio.sleep(9)
    await work(2)
    await settled(app)
    assert [event.result for event in seen] == [2]


async def test_the_fired_invocation_names_its_cause_and_is_tied_to_nothing():
    app, gate = Pynenc(), Gate()
    variable = contextvars.ContextVar("variable", default="unset")
    found = []

    @app.task(deadline=60)
    async def work():
        variable.set("work")
        return 1

    @app.on(succeeded(work) | reached(work, S.RUNNING), name="follow")
    @app.task
    async def follow():
        found.append((variable.get(), current_invocation()._parent))
        await gate.wait()

    @app.task(deadline=60)
    async def parent():
        await work()
        await asyncio.Event().wait()

    outer = parent()
    while len(found) < 2:
        await asyncio.sleep(0)
    await outer.cancel()
    [cause] = app.invocations(task=work)
    followers = app.invocations(task=follow)
    for follower in followers:
        assert follower.status in {S.RUNNING, S.PAUSED}
        assert follower.parent_invocation_id == cause.invocation_id
        assert follower.history[0].reason == "fired by trigger 'follow'"
        assert follower._more.deadline is None
    assert found == [("unset", cause._number)] * 2
    gate.open()
    await settled(app)
    for follower in followers:
        assert follower.status is S.SUCCESS
        assert_lawful(follower)
    await assert_at_rest(app)


@pytest.mark.parametrize("teller", ["trigger", "observer"])
async def test_what_user_code_submits_when_it_is_told_is_not_a_child_of_the_body_that_it_is_told_of(teller):
    app = Pynenc()
    work, other = worker(app), worker(app, "other")
    made = []

    def submit(event):
        made.append(other(1))
        return (event,)

    @app.task
    async def parent():
        await work(1)
        await turns(5)

    if teller == "trigger":
        reporter(app, reached(work, S.REGISTERED, S.SUCCESS), arguments=submit)
    else:
        app.observe(lambda event: event.task_id == work.task_id and submit(event))
    await parent()
    await settled(app)
    assert len(made) >= 2
    assert {handle.parent_invocation_id for handle in made} == {None}
    assert {handle.status for handle in made} == {S.SUCCESS}


@pytest.mark.virtual
async def test_the_options_of_the_fired_task_hold():
    app = Pynenc()
    work, events = worker(app), []
    app.observe(events.append)

    @app.task(registration_concurrency="task", unique_until="finished")
    async def slow():
        await asyncio.sleep(5)

    delayed = reporter(app, succeeded(work), name="delayed")
    app.triggers["delayed"].remove()
    follow = app.get_task("trigger_world.delayed")
    app.on(succeeded(work), name="later", arguments=Pass.EVENT)(follow.with_options(delay=60))
    app.on(succeeded(work), name="once")(slow)
    for n in range(3):
        await work(n)
    await asyncio.sleep(59)
    assert delayed == []
    assert len(app.invocations(task=slow)) == 1
    await asyncio.sleep(2)
    assert [event.result for event in delayed] == [0, 1, 2]
    assert [app.triggers[name].fired for name in ("later", "once")] == [3, 3]
    [first, *_] = app.invocations(task=follow)
    assert_lawful(first)
    assert statuses(first)[:2] == [S.SCHEDULED, S.REGISTERED]
    told = [(event.status, event.reason) for event in events if event.invocation_id == first.invocation_id]
    assert told == [(entry.status, entry.reason) for entry in first.history]


async def test_a_full_queue_does_not_refuse_what_is_fired():
    app = Pynenc(max_concurrency=1, max_queued=1)
    work = worker(app)
    seen = reporter(app, succeeded(work) | reached(work, S.REGISTERED))
    unique = worker(app, "unique", registration_concurrency="arguments")
    app.on(succeeded(work), arguments=Pass.VALUES)(unique)
    for n in range(5):
        await work(n)
    await settled(app)
    assert len(seen) == 10
    assert len(app.invocations(task=unique)) == 5
