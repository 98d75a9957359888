"""Tasks defined twice, tasks defined again, their options, and how they look."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pynenc_async import InvalidTaskOptionsError, Pynenc, TaskDefinitionError, TaskOptions

KEPT_APP = "from pynenc_async import Pynenc\napp = globals().get('app') or Pynenc()\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Import a module from source; loading it again is `importlib.reload`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loaded: list[str] = []

    def load_module(name: str, source: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        if name in loaded:
            return importlib.reload(sys.modules[name])
        loaded.append(name)
        return importlib.import_module(name)

    yield load_module
    for name in loaded:
        sys.modules.pop(name, None)


def test_two_functions_of_one_name_in_one_module_are_refused(load):
    source = KEPT_APP + "@app.task\nasync def work(): return 1\n@app.task\nasync def work(): return 2\n"
    with pytest.raises(TaskDefinitionError, match="already registered"):
        load("duplicated", source)


def test_two_functions_of_one_name_in_the_same_wrapper_are_refused(load):
    wrapper = (
        "import functools\ndef wrapped(func):\n    @functools.wraps(func)\n"
        "    async def call(*args): return await func(*args)\n    return call\n"
    )
    work = "@app.task\n@wrapped\nasync def work(): return {}\n"
    with pytest.raises(TaskDefinitionError, match="already registered"):
        load("wrapped_twice", KEPT_APP + wrapper + work.format(1) + work.format(2))


def test_the_same_function_may_be_a_task_of_several_apps():
    async def work():
        pass

    one, other = Pynenc().task(work), Pynenc().task(work)
    assert one.task_id == other.task_id
    assert one.app is not other.app


@pytest.mark.parametrize("moved_by", [0, 3])
async def test_a_reloaded_module_defines_its_tasks_again(load, moved_by):
    source = "@app.task\nasync def work(): return {}\n"
    name = f"reloaded_{moved_by}"
    module = load(name, KEPT_APP + source.format(1))
    old = module.work
    module = load(name, KEPT_APP + "\n" * moved_by + source.format(2))
    assert module.work is not old
    assert module.app.tasks[f"{name}.work"] is module.work
    assert await module.work() == 2
    assert await old() == 1


async def test_a_reloaded_module_defines_its_wrapped_and_callable_tasks_again(load):
    source = KEPT_APP + "class Adder:\n    async def __call__(self, n): return n + 1\nadd = app.task(Adder())\n"
    load("reloaded_callable", source)
    assert await load("reloaded_callable", source).add(1) == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_retries", -1),
        ("max_retries", "3"),
        ("max_retries", True),
        ("max_retries", 1.5),
        ("retry_for", "ValueError"),
        ("retry_for", (ValueError, 3)),
        ("retry_for", ValueError("an instance")),
        ("priority", "high"),
        ("priority", None),
        ("priority", 1_000_001),
        ("priority", -1_000_001),
        ("max_retries", 1 << 63),
        ("max_crashes", 1 << 63),
        ("running_limit", 1 << 63),
        ("detached", 1),
        ("detect_cycles", "no"),
        ("stream_buffer", 0),
        ("max_retrys", 3),
    ],
)
def test_a_wrong_option_names_the_task_and_the_option(option, value):
    async def work():
        pass

    with pytest.raises(InvalidTaskOptionsError, match=rf"\.work: option '{option}'") as caught:
        Pynenc().task(work).with_options(**{option: value})
    assert caught.value.option == option
    with pytest.raises(InvalidTaskOptionsError, match=rf"option '{option}'"):
        Pynenc().task(**{option: value})(work)


def test_a_wrong_option_of_the_decorator_names_the_task_too():
    async def work():
        pass

    with pytest.raises(InvalidTaskOptionsError, match=r"\.work: option 'max_retries'"):
        Pynenc().task(max_retries=-1)(work)


def test_a_wrong_option_registers_nothing():
    app = Pynenc()

    async def work():
        pass

    with pytest.raises(InvalidTaskOptionsError):
        app.task(max_retries=-1)(work)
    assert app.tasks == {}


async def test_with_options_is_the_same_task_for_this_use():
    app = Pynenc()
    attempts = []

    @app.task(priority=3)
    async def work():
        attempts.append(1)
        raise ValueError

    changed = work.with_options(max_retries=2)
    assert changed.task_id == work.task_id
    assert changed.func is work.func
    assert changed.options == TaskOptions(priority=3, max_retries=2)
    assert work.options == TaskOptions(priority=3)
    assert app.tasks[work.task_id] is work
    invocation = changed()
    with pytest.raises(ValueError, match=r"^$"):
        await invocation
    assert len(attempts) == 3
    assert invocation.task.options.max_retries == 2
    assert invocation.call_id == work().call_id


async def test_a_task_looks_like_its_function():
    app = Pynenc()

    async def work(a: int) -> int:
        """Double it."""
        return 2 * a

    task = app.task(work)
    assert task.func is work
    assert task.__name__ == "work"
    assert task.__doc__ == "Double it."
    assert task.__module__ == __name__
    assert task.task_id == f"{__name__}.{work.__qualname__}"
    assert task.app is app
    assert task.options == TaskOptions()
    assert task.task_id in repr(task)
    assert await task.func(2) == 4


async def test_submit_returns_the_accepted_invocation():
    app = Pynenc()

    @app.task
    async def add(a, b):
        return a + b

    invocation = await add.submit(1, b=2)
    assert await invocation == 3
    with pytest.raises(TypeError):
        await add.submit(1)
