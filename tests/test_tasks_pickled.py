"""A task is pickled as its name: another process finds its own task under it."""

import asyncio
import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from pynenc_async import Pynenc

app = Pynenc()


@app.task(priority=3)
async def double(n):
    return 2 * n


@app.direct_task
async def directly(n):
    return 2 * n


class Service:
    @staticmethod
    @app.task
    async def help_out(n):
        return 2 * n


def again(task):
    return pickle.loads(pickle.dumps(task))  # noqa: S301  our own


@pytest.mark.parametrize("task", [double, directly.task, Service.help_out], ids=str)
def test_a_task_is_the_same_one_in_its_own_process(task):
    assert again(task) is task
    assert copy.deepcopy({"task": task})["task"] is task


async def test_what_with_options_has_said_goes_with_it():
    other = again(double.with_options(max_retries=2, retry_for=ValueError, priority=0))
    assert (other.task_id, other.options.max_retries, other.options.retry_for) == (double.task_id, 2, (ValueError,))
    assert other.options.priority == 0
    assert await other(4) == 8


PROGRAM = """
from pynenc_async import Pynenc
app = Pynenc()

@app.task
async def double(n):
    return 2 * n
"""


@pytest.mark.slow
def test_another_process_finds_its_own_task(tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(str(tmp_path))
    import shop  # noqa: PLC0415

    data = pickle.dumps(shop.double.with_options(priority=7))
    del sys.modules["shop"]
    program = f"import pickle\ntask = pickle.loads({data!r})\nprint(task.task_id, task.options.priority, task.app)"
    paths = [str(tmp_path), str(Path(__file__).parent.parent)]
    done = subprocess.run(  # noqa: S603  our own
        [sys.executable, "-c", f"import sys\nsys.path[:0] = {paths!r}\n{program}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "shop.double 7 <Pynenc 'pynenc' at memory://, 1 tasks>\n", done.stderr


def nested():
    @Pynenc().task
    async def inner():
        pass

    return inner


@pytest.mark.parametrize(
    "task",
    [nested(), Pynenc().task(double.func), Pynenc().task(asyncio.sleep)],
    ids=["nested", "of another app", "of a function elsewhere"],
)
def test_one_that_nobody_would_find_by_its_name_is_refused_where_it_is_pickled(task):
    with pytest.raises(pickle.PicklingError, match=rf"task {task.task_id} cannot be pickled: .* level of a module"):
        pickle.dumps(task)
    assert copy.copy(task).task_id == task.task_id


def test_one_that_is_not_there_is_named_where_it_is_unpickled(monkeypatch):
    data = pickle.dumps(double)
    monkeypatch.delitem(globals(), "double")
    with pytest.raises(pickle.UnpicklingError, match=rf"{__name__} has no task as double here"):
        pickle.loads(data)  # noqa: S301  our own
