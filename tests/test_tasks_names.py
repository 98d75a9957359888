"""What a task is called: the names of module and function, or its own; and the ids that it had before."""

import sys

import pytest

from pynenc_async import (
    DistributedInvocation,
    InvalidTaskOptionsError,
    Pynenc,
    SynchronousInvocation,
    TaskDefinitionError,
    current_invocation,
)
from pynenc_async.configuration.environment import as_variable


async def bill(number: int) -> int:
    return number


def test_a_name_takes_the_place_of_module_and_function_in_the_id():
    app = Pynenc()
    task = app.task(name="shop.bill", aliases="old.bill")(bill)
    assert task.task_id == "shop.bill"
    assert app.tasks == {"shop.bill": task}
    assert app.get_task("shop.bill") is app.get_task("old.bill") is task
    assert task.with_options(priority=1).task_id == "shop.bill"
    assert task.args(1).values
    with pytest.raises(KeyError):
        app.get_task(f"{__name__}.bill")


@pytest.mark.parametrize("url", ["memory://", "sync://"])
async def test_ids_of_calls_and_json_follow_the_name_and_an_alias_is_understood(url):
    app = Pynenc(url)
    task = app.task(name="shop.bill", aliases=["old.bill"])(bill)
    invocation = task(1)
    assert invocation.call_id.startswith("#task_id#shop.bill#")
    kind = SynchronousInvocation if url == "sync://" else DistributedInvocation
    assert isinstance(invocation, kind)
    if kind is DistributedInvocation:
        await invocation
        text = invocation.to_json()
        assert '"task_id":"shop.bill"' in text
        other = Pynenc()
        other.task(name="billing", aliases="shop.bill")(bill)
        assert DistributedInvocation.from_json(other, text).task.task_id == "billing"


async def test_direct_tasks_and_schedules_give_names_too():
    app = Pynenc()
    direct = app.direct_task(name="direct", aliases="earlier.direct")(bill)
    assert direct.task is app.get_task("earlier.direct")
    scheduled = app.every(60, task_name="scheduled", aliases="earlier.scheduled", args=(1,))(bill)
    assert scheduled.task_id == "scheduled"
    assert app.get_task("earlier.scheduled") is scheduled
    assert next(iter(app.schedules)).startswith("scheduled ")

    @app.task(name="above")
    @app.every(60, name="by itself")
    async def report():
        return current_invocation().task.task_id

    assert app.get_task("above").task_id == "above"
    assert not [task_id for task_id in app.tasks if task_id.endswith("report")]
    with pytest.raises(TaskDefinitionError, match="name it where it is made"):
        app.every(60, task_name="x")(app.get_task("above"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"name": "a"}, {"name": "a"}),
        ({"name": "a"}, {"name": "b", "aliases": "a"}),
        ({"name": "a", "aliases": ("x", "y")}, {"name": "y"}),
        ({"name": "a", "aliases": "x"}, {"name": "b", "aliases": ["z", "x"]}),
        ({}, {"name": f"{__name__}.bill"}),
        ({"aliases": f"{__name__}.pay"}, {}),
    ],
)
def test_an_id_belongs_to_one_task(first, second):
    app = Pynenc()
    app.task(**first)(bill)
    before = app.tasks

    async def pay():
        pass

    pay.__qualname__ = "pay"
    with pytest.raises(TaskDefinitionError, match="already"):
        app.task(**second)(pay)
    assert app.tasks == before


def test_the_same_function_may_be_defined_anew_and_leaves_its_old_aliases():
    app = Pynenc()
    app.task(name="a", aliases="x")(bill)
    again = app.task(name="a", aliases="y")(bill)
    assert app.get_task("a") is app.get_task("y") is again
    with pytest.raises(KeyError):
        app.get_task("x")


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": "two words"}, {"name": 3}, {"aliases": ""}, {"aliases": (1,)}, {"name": "a\x1b[0m"}],
)
def test_what_is_no_name_is_refused_where_it_is_given(wrong):
    [option] = wrong
    with pytest.raises(InvalidTaskOptionsError, match=option):
        Pynenc().task(**wrong)(bill)


@pytest.mark.parametrize("option", ["name", "aliases"])
def test_a_name_is_said_of_a_task_and_not_of_a_use_nor_of_all(option):
    task = Pynenc().task(bill)
    with pytest.raises(InvalidTaskOptionsError, match=option):
        task.with_options(**{option: "x"})
    with pytest.raises(InvalidTaskOptionsError, match=option):
        Pynenc(task_defaults={option: "x"})


def test_options_from_outside_go_by_the_name(monkeypatch):
    monkeypatch.setenv(f"PYNENC__TASK__{as_variable('shop.bill')}__MAX_RETRIES", "7")
    assert Pynenc().task(name="shop.bill")(bill).options.max_retries == 7


async def test_middleware_is_chosen_by_any_id():
    app, around = Pynenc(), []

    @app.middleware(tasks=["old.bill"])
    async def note(invocation, call_next):
        around.append(invocation.task.task_id)
        return await call_next()

    assert await app.task(name="shop.bill", aliases="old.bill")(bill)(1) == 1
    assert around == ["shop.bill"]


def test_a_typed_in_module_is_named_like_no_other(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["-c"])
    typed = {"__name__": "__main__"}
    exec("async def bill(): ...", typed)  # noqa: S102
    assert Pynenc().task(typed["bill"]).task_id == "__main__.bill"
