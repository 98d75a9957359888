"""Which source wins: what names the task beats what is said for all; then environment, file, code."""

import itertools
from datetime import timedelta

import pytest

from pynenc_async import Pynenc

ORDER = ("env_task", "file_task", "decorator", "env_all", "file_all", "app")
"""From the strongest to the weakest."""
PLACE = {
    "env_task": "environment variable PYNENC__TASK__TEST_CONFIGURATION_PRECEDENCE_WORK__PRIORITY",
    "file_task": 'tasks."test_configuration_precedence.work".priority',
    "decorator": "decorator",
    "env_all": "environment variable PYNENC__TASK__PRIORITY",
    "file_all": "task.priority",
    "app": "Pynenc(task_defaults=...)",
}


async def work():
    pass


def app_with(sources, tmp_path, monkeypatch):
    """Return the task of an app in which each source gives its own priority: its position in the order."""
    given = {name: ORDER.index(name) for name in sources}
    lines = []
    if "file_all" in given:
        lines += ["[task]", f"priority = {given['file_all']}"]
    if "file_task" in given:
        lines += ['[tasks."test_configuration_precedence.work"]', f"priority = {given['file_task']}"]
    file = tmp_path / "options.toml"
    file.write_text("\n".join(lines))
    with monkeypatch.context() as patch:
        for name, variable in (("env_all", ""), ("env_task", "TEST_CONFIGURATION_PRECEDENCE_WORK__")):
            if name in given:
                patch.setenv(f"PYNENC__TASK__{variable}PRIORITY", str(given[name]))
        app = Pynenc(config=file, task_defaults={"priority": given["app"]} if "app" in given else {})
    options = {"priority": given["decorator"]} if "decorator" in given else {}
    return app, app.task(**options)(work)


SOURCES = [names for count in range(len(ORDER) + 1) for names in itertools.combinations(ORDER, count)]


@pytest.mark.parametrize("sources", SOURCES, ids="+".join)
def test_the_strongest_source_wins(sources, tmp_path, monkeypatch):
    app, task = app_with(sources, tmp_path, monkeypatch)
    strongest = min((ORDER.index(name) for name in sources), default=0)
    assert task.options.priority == strongest
    assert task.with_options(priority=99).options.priority == 99
    (row,) = (line for line in app.explain_options().splitlines() if line.split()[:1] == ["priority"])
    assert row.endswith(PLACE[ORDER[strongest]] if sources else "default")


@pytest.mark.parametrize("environment", [None, "5"])
@pytest.mark.parametrize("file", [None, 4])
@pytest.mark.parametrize("code", [None, 3])
def test_for_the_app_the_environment_beats_the_file_and_the_file_the_code(
    environment, file, code, tmp_path, monkeypatch
):
    path = tmp_path / "options.toml"
    path.write_text("" if file is None else f"max_concurrency = {file}")
    if environment is not None:
        monkeypatch.setenv("PYNENC__MAX_CONCURRENCY", environment)
    app = Pynenc(config=path) if code is None else Pynenc(config=path, max_concurrency=code)
    expected = next((int(value) for value in (environment, file, code) if value is not None), 1_000)
    assert app.statistics().max_concurrency == expected


def test_an_option_of_the_app_keeps_its_other_sources(tmp_path, monkeypatch):
    path = tmp_path / "options.toml"
    path.write_text('app_id = "from the file"\nmax_threads = 2')
    monkeypatch.setenv("PYNENC__MAX_THREADS", "7")
    monkeypatch.setenv("PYNENC__URL", "sync://")
    app = Pynenc(config=path, max_concurrency=None)
    assert (app.app_id, app.statistics().max_threads, app.statistics().max_concurrency) == ("from the file", 7, None)
    assert app.is_synchronous


def test_each_option_is_looked_for_on_its_own(tmp_path):
    path = tmp_path / "options.toml"
    path.write_text("[task]\nmax_retries = 2\npriority = 2\ntimeout = 2")
    app = Pynenc(config=path, task_defaults={"retry_delay": timedelta(seconds=3), "max_retries": 1})
    options = app.task(priority=5)(work).options
    assert (options.max_retries, options.priority, options.timeout, options.retry_delay) == (2, 5, 2.0, 3.0)


def test_the_environment_is_that_of_the_moment_in_which_the_app_is_made(monkeypatch):
    app = Pynenc()
    monkeypatch.setenv("PYNENC__TASK__PRIORITY", "5")
    assert app.task(work).options.priority == 0
    assert Pynenc().task(work).options.priority == 5


async def test_what_is_configured_is_what_happens(tmp_path):
    path = tmp_path / "options.toml"
    path.write_text('[tasks."test_configuration_precedence.flaky"]\nmax_retries = 2\nretry_for = "KeyError"')
    app = Pynenc(config=path)
    task = app.task(flaky)
    ATTEMPTS.clear()
    async with app:
        assert await task() == 3


ATTEMPTS = []


async def flaky():
    ATTEMPTS.append(None)
    if len(ATTEMPTS) < 3:
        raise KeyError
    return len(ATTEMPTS)
