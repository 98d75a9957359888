"""How a task gets a schedule: decorators in any order, arguments, names, and what is wrong with them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from helpers import assert_at_rest

from pynenc_async import (
    AppNotStartedError,
    InvalidTaskOptionsError,
    Misfire,
    Overlap,
    Pynenc,
    Task,
    TaskDefinitionError,
    current_fire,
)

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


async def report(name, *, pages=1):
    return name, pages


async def nothing():
    pass


def spec(app, name=None):
    if name is None:
        (name,) = app.schedules
    return app.schedules[name].spec


# -- decorators --------------------------------------------------------------------------------------------------------


def test_a_function_becomes_a_task():
    app = Pynenc()
    task = app.cron("0 7 * * *")(nothing)
    assert isinstance(task, Task)
    assert app.tasks == {task.task_id: task}
    assert app.schedules[f"{task.task_id} 0 7 * * * UTC"].task is task


def test_with_options_of_the_task_and_of_the_schedule():
    app = Pynenc()
    task = app.every(timedelta(minutes=5), max_retries=3, priority=2, misfire="all", overlap=Overlap.QUEUE)(nothing)
    assert (task.options.max_retries, task.options.priority) == (3, 2)
    options = spec(app, f"{task.task_id} every 300 s").options
    assert (options.misfire, options.overlap) == (Misfire.ALL, Overlap.QUEUE)


def test_defaults():
    app = Pynenc()
    app.every(5)(nothing)
    options = spec(app).options
    assert (options.misfire, options.overlap, options.jitter) == (Misfire.ONCE, Overlap.SKIP, 0)


def test_above_app_task():
    app = Pynenc()
    task = app.task(max_retries=3)(nothing)
    assert app.cron("0 7 * * *")(task) is task
    assert app.every(5)(task) is task
    assert [schedule.task for schedule in app.schedules.values()] == [task, task]


def test_below_app_task():
    app = Pynenc()
    task = app.task(max_retries=3)(app.every(5, priority=1)(app.cron("0 7 * * *", timeout=9)(nothing)))
    assert app.tasks == {task.task_id: task}
    assert (task.options.max_retries, task.options.timeout, task.options.priority) == (3, 9, 0)
    at_seven, each_five = (schedule.task for schedule in app.schedules.values())
    assert at_seven is task
    assert (each_five.options.max_retries, each_five.options.priority) == (3, 1)


def test_a_task_is_decorated_once_all_the_same():
    app = Pynenc()
    task = app.task(app.cron("0 7 * * *")(nothing))
    with pytest.raises(TaskDefinitionError, match="already a task"):
        app.task(task)


def test_options_given_with_a_task_hold_for_the_runs_of_that_schedule():
    app = Pynenc()
    task = app.task(priority=1)(nothing)
    app.every(5, priority=7)(task)
    app.every(6)(task.with_options(priority=8))
    assert task.options.priority == 1
    assert [schedule.task.options.priority for schedule in app.schedules.values()] == [7, 8]


def test_a_direct_task_says_what_to_decorate():
    app = Pynenc()
    direct = app.direct_task(nothing)
    with pytest.raises(TaskDefinitionError, match="its attribute `task`"):
        app.every(5)(direct)
    assert app.every(5)(direct.task) is direct.task


# -- arguments ---------------------------------------------------------------------------------------------------------


def test_arguments():
    app = Pynenc()
    task = app.task(report)
    app.every(1, args=("a",), name="a")(task)
    app.every(1, args=("b",), kwargs={"pages": 2}, name="b")(task)
    app.every(1, kwargs={"name": "c"}, name="c")(task)
    app.every(1, args=task.args("d", pages=4), name="d")(task)
    given = {name: schedule.arguments.kwargs for name, schedule in app.schedules.items()}
    pages = {"a": 1, "b": 2, "c": 1, "d": 4}
    assert given == {name: {"name": name, "pages": number} for name, number in pages.items()}


@pytest.mark.parametrize("options", [{}, {"args": (1, 2)}, {"kwargs": {"nam": 1}}])
def test_arguments_that_do_not_fit_are_refused_at_once(options):
    app = Pynenc()
    with pytest.raises(TypeError, match=r"schedule of test_declaring\.report: report\(\) .*args="):
        app.every(1, **options)(report)
    assert app.schedules == {}


def test_arguments_of_another_task_are_refused():
    app = Pynenc()
    other = app.task(report)
    with pytest.raises(TypeError, match=r"not of test_declaring\.nothing"):
        app.every(1, args=other.args("a"))(nothing)


# -- names -------------------------------------------------------------------------------------------------------------


def test_a_name_is_unique():
    app = Pynenc()
    task = app.task(report)
    app.every(1, args=("a",))(task)
    with pytest.raises(InvalidTaskOptionsError, match="give one of the two another name") as caught:
        app.every(1, args=("b",))(task)
    assert caught.value.option == "name"
    assert len(app.schedules) == 1


def test_names_say_what_a_schedule_is():
    app = Pynenc()
    app.cron(" 0   7 * * *", tz="Europe/Berlin")(nothing)
    app.every(0.1)(app.tasks["test_declaring.nothing"])
    assert list(app.schedules) == [
        "test_declaring.nothing 0 7 * * * Europe/Berlin",
        "test_declaring.nothing every 0.1 s",
    ]


def test_a_function_that_is_defined_anew_has_its_new_schedules_alone():
    app, source = Pynenc(), "async def job(): return VALUE"
    for value, interval in ((1, 5), (2, 6)):
        names = {"__name__": "reloaded", "VALUE": value}
        exec(compile(source, "cell.py", "exec"), names)  # noqa: S102  as in a notebook
        app.every(interval)(app.every(interval + 1)(names["job"]))
    assert list(app.schedules) == ["reloaded.job every 7 s", "reloaded.job every 6 s"]
    assert {schedule.task.func for schedule in app.schedules.values()} == {names["job"]}


# -- what is wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "option", "problem"),
    [
        ({"misfire": "never"}, "misfire", "one of 'skip', 'once', 'all'"),
        ({"overlap": True}, "overlap", "one of 'skip', 'queue', 'allow'"),
        ({"jitter": -1}, "jitter", "0 or more"),
        ({"misfire_grace": "1"}, "misfire_grace", "0 or more"),
        ({"name": ""}, "name", "not empty"),
        ({"args": [1]}, "args", "a tuple, or task.args"),
        ({"kwargs": [1]}, "kwargs", "a dict"),
        ({"kwargs": {1: 1}}, "kwargs", "a dict"),
        ({"start": datetime(2025, 1, 1)}, "start", "time zone"),  # noqa: DTZ001
        ({"end": 5}, "end", "time zone"),
        ({"start": NOON, "end": NOON - timedelta(seconds=1)}, "end", "before start"),
        ({"misfir": "skip"}, "misfir", "is unknown; there are name, args, "),
        ({"max_retries": -1}, "max_retries", "0 or more"),
    ],
)
def test_a_wrong_option_is_named(options, option, problem):
    for task in (nothing, Pynenc().task(nothing)):
        app = Pynenc()
        with pytest.raises(InvalidTaskOptionsError, match=problem) as caught:
            app.every(5, **options)(task)
        assert caught.value.option == option
        assert app.schedules == {}


@pytest.mark.parametrize("interval", [0, -1, 0.001, timedelta(0), "5", None, True, float("inf"), float("nan")])
def test_a_wrong_interval_is_named(interval):
    with pytest.raises(InvalidTaskOptionsError, match=r"0\.01 or more, or a timedelta") as caught:
        Pynenc().every(interval)
    assert caught.value.option == "interval"
    assert repr(interval) in str(caught.value)


def test_arguments_are_given_in_one_way():
    app = Pynenc()
    task = app.task(report)
    with pytest.raises(InvalidTaskOptionsError, match=r"beside task\.args"):
        app.every(5, args=task.args("a"), kwargs={"pages": 2})(task)


# -- where they fire ---------------------------------------------------------------------------------------------------


async def test_on_any_loop():
    app, fires, enough = Pynenc(), [], asyncio.Event()

    @app.every(0.01)
    async def tick():
        fires.append(current_fire().moment)
        if len(fires) == 3:
            enough.set()

    async with app:
        await enough.wait()
    assert fires == sorted(set(fires))
    await assert_at_rest(app)


async def test_a_run_in_a_thread_on_any_loop():
    app, enough = Pynenc(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @app.every(0.01)
    def tick():
        assert current_fire() is not None
        loop.call_soon_threadsafe(enough.set)

    async with app:
        await enough.wait()
    await assert_at_rest(app)


def test_an_app_outlives_loops_with_its_schedules():
    app, fires = Pynenc(), []

    @app.every(0.01)
    async def tick():
        fires.append(current_fire().moment)
        enough.set()

    async def main():
        await enough.wait()

    for count in (1, 2):
        enough = asyncio.Event()
        app.run(main)
        assert len(set(fires)) == len(fires) >= count


def test_a_synchronous_app_never_fires_and_can_have_schedules_all_the_same():
    app, ran = Pynenc("sync://"), []

    @app.cron("* * * * *", args=(1,))
    def tick(n):
        ran.append((n, current_fire()))
        return n

    (schedule,) = app.schedules.values()
    assert schedule.next_fire is None
    assert len(schedule.upcoming(2, after=NOON)) == 2

    async def main():
        assert schedule.next_fire is None

    app.run(main)
    assert tick(5).result == 5
    assert ran == [(5, None)]
    schedule.pause()
    schedule.resume()
    schedule.remove()
    assert app.schedules == {}


async def test_a_task_of_an_app_that_was_shut_down_is_not_called():
    app = Pynenc()
    task = app.every(0.01)(nothing)
    async with app:
        pass
    app.every(0.01, name="late")(task)
    assert all(schedule.next_fire is None for schedule in app.schedules.values())
    with pytest.raises(AppNotStartedError):
        task()
