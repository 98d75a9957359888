"""An option that can have no effect is refused where it is given, and the error names what is missing."""

import re

import pytest

from pynenc_async import ConcurrencyControlType, InvalidTaskOptionsError, OnDuplicate, Pynenc, Rate, emitted
from pynenc_async.option_needs import NEEDS
from pynenc_async.options import RULES
from pynenc_async.store.memory import MemoryHub, MemoryStore

TASK, KEYS = ConcurrencyControlType.TASK, ConcurrencyControlType.KEYS


async def work(key="k"):
    pass


async def items():
    yield 1


REFUSED = [
    ({"retry_for": ValueError}, "without max_retries"),
    ({"retry_for": Exception}, "without max_retries"),
    ({"no_retry_for": ValueError}, "without max_retries"),
    ({"retry_if": bool}, "without max_retries"),
    ({"retry_delay": 2}, "without max_retries"),
    ({"retry_backoff": 2}, "without max_retries and without retry_delay"),
    ({"retry_backoff": 2, "max_retries": 3}, "without retry_delay"),
    ({"retry_max_delay": 60, "max_retries": 3}, "without retry_delay"),
    ({"retry_jitter": True, "max_retries": 3}, "without retry_delay"),
    ({"on_duplicate": "reuse"}, "without registration_concurrency"),
    ({"on_duplicate": "raise"}, "without registration_concurrency"),
    ({"unique_until": "started"}, "without registration_concurrency"),
    ({"unique_for": 5}, "without registration_concurrency"),
    ({"unique_until": "finished", "unique_for": 5, "registration_concurrency": "task"}, "beside unique_for"),
    ({"on_different_arguments_raise": True}, "without registration_concurrency of 'task' or 'keys'"),
    ({"on_different_arguments_raise": True, "registration_concurrency": "arguments"}, "of 'task' or 'keys'"),
    (
        {"on_different_arguments_raise": True, "registration_concurrency": "task", "on_duplicate": "skip"},
        "without on_duplicate of 'reuse'",
    ),
    ({"on_limit": "drop"}, "without running_concurrency, running_total or rate_limit"),
    ({"on_limit": "wait"}, "without running_concurrency, running_total or rate_limit"),
    (
        {"key_arguments": "key"},
        "without 'keys' as registration_concurrency, running_concurrency or scope of rate_limit",
    ),
    ({"key_arguments": "key", "running_concurrency": "task"}, "without 'keys' as"),
    ({"key_arguments": "key", "rate_limit": Rate(1)}, "without 'keys' as"),
    ({"stream_buffer": 5}, "on what is no async generator"),
]


def named(options):
    return next(iter(options))


@pytest.mark.parametrize(("options", "missing"), REFUSED)
def test_it_is_refused_in_a_decorator_in_a_use_and_in_a_schedule(options, missing):
    app = Pynenc()
    told = rf"option '{named(options)}' has no effect .*{re.escape(missing)}"
    with pytest.raises(InvalidTaskOptionsError, match=told) as caught:
        app.task(**options)(work)
    assert caught.value.option == named(options)
    assert app.tasks == {}
    with pytest.raises(InvalidTaskOptionsError, match=told):
        app.direct_task(**options)(work)
    with pytest.raises(InvalidTaskOptionsError, match=told):
        app.every(5, **options)(work)
    task = app.task(work)
    with pytest.raises(InvalidTaskOptionsError, match=told):
        task.with_options(**options)
    with pytest.raises(InvalidTaskOptionsError, match=told):
        app.every(5, **options)(task)
    assert app.schedules == {}


@pytest.mark.parametrize(
    "options",
    [
        {"retry_for": ValueError, "max_retries": 1},
        {"retry_delay": 2, "retry_backoff": 2, "retry_jitter": True, "retry_max_delay": 9, "max_retries": 1},
        {"on_duplicate": "skip", "unique_until": "finished", "registration_concurrency": "arguments"},
        {"on_different_arguments_raise": True, "registration_concurrency": "keys", "key_arguments": "key"},
        {"on_limit": "drop", "running_total": 3},
        {"on_limit": "drop", "rate_limit": Rate(3)},
        {"on_limit": "drop", "running_limit": 3},
        {"key_arguments": "key", "rate_limit": Rate(3, scope="keys")},
        {"key_arguments": "key", "registration_concurrency": "keys"},
    ],
)
def test_beside_what_it_needs_it_is_accepted(options):
    assert Pynenc().task(**options)(work).with_options(**options).options is not None


def test_a_generator_has_a_buffer():
    assert Pynenc().task(stream_buffer=5)(items).with_options(stream_buffer=6).options.stream_buffer == 6


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": 0, "retry_delay": 5, "retry_backoff": 2},
        {"max_retries": 3, "retry_delay": 0, "retry_jitter": True},
        {"rate_limit": None, "on_limit": "drop"},
        {"running_concurrency": "disabled", "running_limit": 3, "key_arguments": "key"},
        {"retry_delay": 0, "retry_if": None, "no_retry_for": (), "retry_jitter": False, "unique_for": None},
        {"retry_backoff": 1.0, "on_different_arguments_raise": False, "key_arguments": ()},
    ],
)
def test_what_is_switched_off_in_the_same_place_and_what_says_nothing_is_no_oversight(options):
    """As where a number comes from a setting: `max_retries=settings.retries, retry_delay=5`."""
    app = Pynenc()
    app.task(**options)(work).with_options(**options)


def test_a_use_may_switch_off_what_others_need():
    task = Pynenc().task(max_retries=3, retry_delay=5, retry_jitter=True, running_limit=2, on_limit="drop")(work)
    assert task.with_options(max_retries=0).options.retry_delay == 5
    assert not task.with_options(running_concurrency="disabled").options.is_limited
    assert task.with_options(retry_backoff=2.0).options.retry_backoff == 2


@pytest.mark.parametrize("limit", [1, 3])
def test_a_running_limit_alone_is_one_of_the_task(limit):
    app = Pynenc()
    options = app.task(running_limit=limit)(work).options
    assert (options.running_concurrency, options.running_limit) == (TASK, limit)
    use = Pynenc().task(work).with_options(running_limit=limit).options
    assert (use.running_concurrency, use.running_limit) == (TASK, limit)
    keyed = Pynenc().task(running_concurrency="keys", key_arguments="key")(work)
    assert keyed.with_options(running_limit=limit).options.running_concurrency is KEYS


def test_every_option_of_the_table_is_one_and_is_tried_here():
    assert set(NEEDS) < set(RULES)
    assert set(NEEDS) - {named(options) for options, _ in REFUSED} == {"running_limit"}


# -- settings ----------------------------------------------------------------------------------------------------------


def app_of(tmp_path, monkeypatch, *, file="", environment=(), **options):
    (tmp_path / "options.toml").write_text(file)
    for name, value in dict(environment).items():
        monkeypatch.setenv(f"PYNENC__TASK__{name}", value)
    return Pynenc(config=tmp_path / "options.toml", **options)


ID = "test_options_without_effect.work"
VARIABLE = "TEST_OPTIONS_WITHOUT_EFFECT_WORK__"


def test_what_is_said_for_all_tasks_is_for_those_that_can_use_it(tmp_path, monkeypatch):
    file = '[task]\nretry_delay = 5\nkey_arguments = ["key"]\nstream_buffer = 7\non_limit = "drop"'
    app = app_of(
        tmp_path, monkeypatch, file=file, environment={"RETRY_BACKOFF": "2"}, task_defaults={"retry_jitter": True}
    )
    options = app.task(work).options
    assert (options.retry_delay, options.retry_backoff, options.retry_jitter) == (5, 2, True)
    row = next(line for line in app.explain_options().splitlines() if line.split()[:1] == ["retry_delay"])
    assert row.endswith("task.retry_delay; has no effect without max_retries")


def test_a_default_may_have_what_an_option_needs(tmp_path, monkeypatch):
    app = app_of(tmp_path, monkeypatch, file="[task]\nmax_retries = 2")
    assert app.task(retry_delay=3)(work).options.max_retries == 2


def test_a_setting_for_the_task_is_refused_and_its_place_is_named(tmp_path, monkeypatch):
    app = app_of(tmp_path, monkeypatch, file=f'[tasks."{ID}"]\nretry_delay = 3')
    with pytest.raises(
        InvalidTaskOptionsError, match=r"'retry_delay' has no effect without max_retries; found in .*toml"
    ):
        app.task(work)
    app = app_of(tmp_path, monkeypatch, environment={f"{VARIABLE}ON_LIMIT": "drop"})
    with pytest.raises(InvalidTaskOptionsError, match=r"'on_limit' has no effect .*; found in environment variable"):
        app.task(work)


@pytest.mark.parametrize(
    "environment",
    [
        {"MAX_RETRIES": "0", "RUNNING_CONCURRENCY": "disabled", "RATE_LIMIT": "none"},
        {"RUNNING_CONCURRENCY": "task", "RATE_LIMIT": "5/1"},
    ],
)
def test_whoever_operates_a_program_may_switch_off_what_its_options_need(tmp_path, monkeypatch, environment):
    environment = {f"{VARIABLE}{name}": value for name, value in environment.items()}
    app = app_of(tmp_path, monkeypatch, environment=environment)
    app.task(
        max_retries=3, retry_delay=5, running_concurrency="keys", key_arguments="key", running_limit=2, on_limit="drop"
    )(work)


def test_a_running_limit_alone_is_one_of_each_task_in_settings_too(tmp_path, monkeypatch):
    app = app_of(tmp_path, monkeypatch, environment={"RUNNING_LIMIT": "3"})
    assert app.task(work).options.running_concurrency is TASK
    assert app.task(running_concurrency="keys", key_arguments="key")(work).options.running_concurrency is KEYS
    assert "running_concurrency" in app.explain_options()


# -- the app -----------------------------------------------------------------------------------------------------------

OF_STORES = {
    "lease_seconds": 5,
    "store_window": 10,
    "store_retain_seconds": 60,
    "store_retain_count": 10,
    "store_retain_bytes": 10**6,
}


@pytest.mark.parametrize("name", OF_STORES)
def test_an_option_of_stores_needs_a_store(name, tmp_path, monkeypatch):
    options = {name: OF_STORES[name]}
    for url in ("memory://", "sync://"):
        with pytest.raises(InvalidTaskOptionsError, match=rf"^Pynenc: option '{name}' has no effect without a store"):
            Pynenc(url, **options)
    Pynenc(f"sqlite:///{tmp_path / 'jobs.db'}", **options)
    Pynenc(store=lambda: MemoryStore(MemoryHub()), **options)
    monkeypatch.setenv("PYNENC__URL", "memory://")
    app = Pynenc(f"sqlite:///{tmp_path / 'jobs.db'}", **options)
    assert "Pynenc(...); has no effect without a store" in app.explain_options()


def test_a_lease_is_given_once(tmp_path):
    with pytest.raises(InvalidTaskOptionsError, match=r"lease_seconds.*keep one of them"):
        Pynenc(f"sqlite:///{tmp_path / 'jobs.db'}?lease=5", lease_seconds=6)


@pytest.mark.parametrize("url", ["memory://jobs", "memory://?lease=3", "sync://x", "memory:", "sqlit:///jobs.db"])
def test_what_stands_behind_a_url_that_has_nothing_is_refused(url):
    with pytest.raises(
        InvalidTaskOptionsError, match=r"'url' must be 'memory://' or 'sync://' or 'sqlite://\.\.\.', not"
    ):
        Pynenc(url)


# -- schedules and triggers --------------------------------------------------------------------------------------------


def test_options_of_schedules_and_triggers_need_others_too():
    app = Pynenc()
    with pytest.raises(InvalidTaskOptionsError, match="'misfire_grace' has no effect without misfire of 'skip'"):
        app.every(5, misfire_grace=3)
    with pytest.raises(InvalidTaskOptionsError, match="'max_keys' has no effect without by"):
        app.on(emitted("a") & emitted("b"), max_keys=3)


# -- what was probably meant -------------------------------------------------------------------------------------------


def test_a_misspelt_option_suggests_the_right_one_wherever_it_is_given(tmp_path, monkeypatch):
    def refused(match, call, *args, **options):
        with pytest.raises(Exception, match=match):
            call(*args, **options)

    app = Pynenc()
    meant = "did you mean 'max_retries'"
    refused(meant, app.task(max_retry=3), work)
    refused(meant, app.task(work).with_options, max_retry=3)
    refused(meant, app.every, 5, max_retry=3)
    refused("did you mean 'misfire'", app.every, 5, misfires="skip")
    refused("did you mean 'within'", app.on, None, withn=3)
    refused(meant, Pynenc, task_defaults={"max_retry": 3})
    refused("did you mean 'max_concurrency'", Pynenc, max_concurency=3)
    refused("did you mean 'task_defaults'", Pynenc, task_default={})
    refused("PYNENC__TASK__MAX_RETRIES", Pynenc, max_retries=3)
    refused("did you mean 'durability'", Pynenc, f"sqlite:///{tmp_path / 'jobs.db'}?durabilty=full")
    file = tmp_path / "options.toml"
    for text, match in (
        ("max_concurency = 3", "did you mean 'max_concurrency'"),
        ("max_retries = 3", r"belongs to \[task\]"),
        ('[tasks."no.such"]\nmax_retry = 3', f"task no.such: .*{meant}.*no.such"),
        ('[task."shop.send"]\nmax_retries = 3', r'\[tasks\."module.name"\]'),
        ("[tasks]\nmax_retries = 3", "must be a table of options"),
    ):
        file.write_text(text)
        refused(match, Pynenc, config=file)
    file.write_text("[task]\nmax_retry = 3")
    refused(meant, Pynenc(config=file).task, work)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.pynenc-async]\nmax_threads = 3")
    refused(r"write \[tool.pynenc_async\]", Pynenc)
    (tmp_path / "pyproject.toml").unlink()
    for variable, match in (
        ("MAX_CONCURENCY", "did you mean 'max_concurrency'"),
        ("TASK__MAX_RETRY", meant),
        ("TASK__SHOP_SEND__MAX_RETRY", meant),
        ("TASK_MAX_RETRIES", "PYNENC__TASK__MAX_RETRIES"),
        ("TASKS__MAX_RETRIES", "PYNENC__TASK__MAX_RETRIES"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(f"PYNENC__{variable}", "3")
            refused(match, Pynenc)


def test_nothing_is_suggested_that_is_nothing_like_it():
    with pytest.raises(InvalidTaskOptionsError) as caught:
        Pynenc().task(colour="blue")(work)
    assert "did you mean" not in str(caught.value)


async def test_settings_of_a_task_that_is_not_there_are_told_when_the_app_starts(tmp_path, monkeypatch, caplog):
    file = f'[tasks."{ID}s"]\npriority = 3\n[tasks."{ID}"]\npriority = 4'
    app = app_of(tmp_path, monkeypatch, file=file)
    app.task(work)
    async with app:
        pass
    (record,) = (one for one in caplog.records if "settings" in one.getMessage())
    assert f"did you mean '{ID}'" in record.getMessage()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            "{counts = 3}",
            "is not a rate: 'counts' is unknown; a rate has count, per, burst, scope; did you mean 'count'",
        ),
        ("{per = 3}", "is not a rate: 'count' is missing"),
        ('{count = "3"}', "is not a rate: 'count' must be a number above 0, not '3'"),
        ("{count = 3, per = 0}", "is not a rate: 'per' must be a number above 0"),
        ("{count = 3, burst = 1.5}", "is not a rate: 'burst' must be an integer"),
        ('{count = 3, scope = "key"}', "is not a rate: 'scope' must be one of 'task', 'arguments', 'keys'"),
        ("3", "must be a rate as in '10/60', or a table with count, per, burst, scope, not 3"),
        ('["10/60"]', "must be a rate as in '10/60', or a table"),
        ("true", "must be a rate as in '10/60', or a table"),
        ('"10/60/2"', "must be a rate as in 10/60"),
        ('"10 per minute"', "must be a rate as in 10/60"),
        ('"2.5/1"', "is not a rate: 'count' is 2.5"),
    ],
)
def test_a_wrong_rate_in_a_file_names_the_field(value, told, tmp_path, monkeypatch):
    app = app_of(tmp_path, monkeypatch, file=f"[task]\nrate_limit = {value}")
    with pytest.raises(InvalidTaskOptionsError) as caught:
        app.task(work)
    assert caught.value.option == "rate_limit"
    assert caught.value.problem.startswith(told)


@pytest.mark.parametrize("value", ['"10/60"', '{count = 10, per = 60, scope = "keys"}', "{count = 10, burst = 2}"])
async def test_a_rate_of_a_file_is_kept_as_one_of_the_code(value, tmp_path, monkeypatch):
    app = app_of(tmp_path, monkeypatch, file=f'[task]\nrate_limit = {value}\nkey_arguments = "key"')
    task = app.task(work)
    assert await task("a") is None
    assert task.options.rate_limit.scope in (TASK, KEYS)


def test_an_enum_is_as_good_as_its_text():
    app = Pynenc()
    one = app.task(registration_concurrency=TASK, on_duplicate=OnDuplicate.SKIP)(work).options
    assert one == Pynenc().task(registration_concurrency="task", on_duplicate="skip")(work).options
