"""How files and variables are read, and what is said when they are wrong."""

import inspect
import subprocess
import sys
import types
from datetime import UTC, datetime
from pathlib import Path

import pytest

import pynenc_async
from pynenc_async import ConfigurationError, InvalidTaskOptionsError, Pynenc, TaskOptions
from pynenc_async.configuration.app_options import APP_DEFAULTS
from pynenc_async.configuration.environment import as_variable
from pynenc_async.limit import ConcurrencyControlType, Rate
from pynenc_async.options import RULES, OnLimit

ROOT = Path(pynenc_async.__file__).parent.parent


class OutOfStockError(Exception):
    pass


async def work(key="", other=""):
    pass


def options_in_environment(monkeypatch, **values):
    for name, text in values.items():
        monkeypatch.setenv(f"PYNENC__TASK__{name.upper()}", text)
    return Pynenc().task(work).options


def options_in_file(tmp_path, text, name="options.toml"):
    path = tmp_path / name
    path.write_text(text)
    return Pynenc(config=path).task(work).options


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("max_retries", " 3 ", 3),
        ("retry_delay", "0.5", 0.5),
        ("retry_delay", "2", 2.0),
        ("retry_jitter", "true", True),
        ("retry_jitter", "ON", True),
        ("detect_cycles", "0", False),
        ("detect_cycles", "no", False),
        ("timeout", "none", None),
        ("timeout", "", None),
        ("timeout", "90", 90.0),
        ("retry_for", "ValueError", (ValueError,)),
        ("retry_for", f"KeyError, {__name__}:OutOfStockError", (KeyError, OutOfStockError)),
        ("no_retry_for", "", ()),
        ("key_arguments", "key, other", ("key", "other")),
        ("running_concurrency", "TASK", ConcurrencyControlType.TASK),
        ("on_limit", "drop", OnLimit.DROP),
        ("deadline", "none", None),
        ("rate_limit", "10/60", Rate(10, per=60.0)),
        ("rate_limit", "10", Rate(10)),
        ("at", "2030-01-02T03:04:05+00:00", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_text_is_read_as_the_type_of_its_option(option, text, value, monkeypatch):
    options = options_in_environment(monkeypatch, **{option: text})
    assert getattr(options, option) == value
    assert type(getattr(options, option)) is type(value)


@pytest.mark.parametrize(
    ("option", "text", "complaint"),
    [
        ("max_retries", "three", "must be an integer, not 'three'"),
        ("max_retries", "-1", "must be an integer of 0 or more, below 2**63, not -1"),
        ("max_retries", "none", "must be an integer, not 'none'"),
        ("retry_delay", "soon", "must be a number, not 'soon'"),
        ("retry_delay", "nan", "must be a number of seconds"),
        ("retry_jitter", "maybe", "must be true or false, not 'maybe'"),
        ("timeout", "0", "above 0"),
        ("on_limit", "moon", "must be one of 'wait', 'drop'"),
        ("retry_for", "int", "names 'int', which is no exception class"),
        ("retry_for", "OutOfStockError", "write module:Class"),
        ("retry_for", "nowhere.errors:Boom", "no module 'nowhere.errors' is imported"),
        ("retry_for", f"{__name__}:work", "which is no exception class"),
        ("retry_if", "bool", "can only be given in code"),
        ("rate_limit", "many", "must be a rate as in 10/60"),
        ("rate_limit", "0/1", "is not a rate"),
        ("at", "tomorrow", "must be a time as in"),
        ("at", "2030-01-01T00:00:00", "with a time zone"),
        ("key_arguments", "a b", "the name of a parameter"),
    ],
)
def test_wrong_text_names_the_task_the_option_and_the_variable(option, text, complaint, monkeypatch):
    with pytest.raises(InvalidTaskOptionsError) as caught:
        options_in_environment(monkeypatch, **{option: text})
    message = str(caught.value)
    assert message.startswith(f"task {__name__}.work: option {option!r}")
    assert complaint in message
    assert message.endswith(f"found in environment variable PYNENC__TASK__{option.upper()}")


def test_nothing_is_imported_because_a_setting_names_it(monkeypatch):
    with pytest.raises(InvalidTaskOptionsError):
        options_in_environment(monkeypatch, retry_for="antigravity:Boom")
    assert "antigravity" not in sys.modules


def test_every_option_can_be_read_from_text_or_says_that_it_cannot(monkeypatch):
    for option in RULES:
        with monkeypatch.context() as patch:
            try:
                options_in_environment(patch, **{option: "an impossible value"})
            except InvalidTaskOptionsError as error:
                assert error.option == option  # noqa: PT017  one of many
            else:
                pytest.fail(f"{option} took anything")


@pytest.mark.parametrize(
    "variable", ["PYNENC__TASK__MAX_RETRY", "PYNENC__TASK__SHOP_SEND__MAX_RETRY", "PYNENC__TASK__"]
)
def test_an_unknown_option_of_a_task_names_the_variable(variable, monkeypatch):
    monkeypatch.setenv(variable, "3")
    with pytest.raises(
        InvalidTaskOptionsError, match=f"variable {variable}: option .* is unknown; the options of a task are"
    ):
        Pynenc()


def test_an_unknown_option_of_the_app_names_the_variable(monkeypatch):
    monkeypatch.setenv("PYNENC__MAX_CONCURENCY", "3")
    with pytest.raises(InvalidTaskOptionsError, match=r"'max_concurency' is unknown; .*PYNENC__MAX_CONCURENCY"):
        Pynenc()


def test_an_option_of_tasks_in_the_place_of_the_app_says_where_it_belongs(monkeypatch):
    monkeypatch.setenv("PYNENC__MAX_RETRIES", "3")
    with pytest.raises(InvalidTaskOptionsError, match="PYNENC__TASK__MAX_RETRIES"):
        Pynenc()


@pytest.mark.parametrize(("variable", "text"), [("MAX_CONCURRENCY", "0"), ("RETAIN_SECONDS", "-1"), ("URL", "nowhere")])
def test_a_wrong_option_of_the_app_names_the_variable(variable, text, monkeypatch):
    monkeypatch.setenv(f"PYNENC__{variable}", text)
    with pytest.raises(
        InvalidTaskOptionsError, match=f"^Pynenc: option {variable.lower()!r} must be .*PYNENC__{variable}$"
    ):
        Pynenc()


@pytest.mark.parametrize("task_id", ["shop.send", "__main__.work", "a_b.c__d.e", "shop.Orders.send", "m.f.<locals>.g"])
def test_any_task_can_be_named_by_a_variable(task_id, monkeypatch):
    module, _, name = task_id.partition(".")
    function = types.FunctionType(work.__code__, {}, argdefs=work.__defaults__)
    function.__module__, function.__qualname__ = module, name
    monkeypatch.setenv(f"PYNENC__TASK__{as_variable(task_id)}__PRIORITY", "5")
    task = Pynenc().task(function)
    assert (task.task_id, task.options.priority) == (task_id, 5)


def test_files_have_types_of_their_own(tmp_path):
    options = options_in_file(
        tmp_path,
        """
        [task]
        max_retries = 3
        retry_jitter = true
        timeout = 1.5
        deadline = "none"
        retry_for = ["ValueError", "KeyError"]
        key_arguments = ["key"]
        running_concurrency = "keys"
        rate_limit = {count = 10, per = 60, burst = 2, scope = "keys"}
        at = 2030-01-02T03:04:05Z
        """,
    )
    assert options == TaskOptions(
        max_retries=3,
        retry_jitter=True,
        timeout=1.5,
        retry_for=(ValueError, KeyError),
        key_arguments=("key",),
        running_concurrency=ConcurrencyControlType.KEYS,
        rate_limit=Rate(10, per=60, burst=2, scope=ConcurrencyControlType.KEYS),
        at=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('max_retries = "3"', "must be an integer of 0 or more, below 2**63, not '3'"),
        ("retry_jitter = 1", "must be True or False, not 1"),
        ("max_retry = 3", "is unknown"),
        ("rate_limit = {counts = 3}", "is not a rate"),
        ("retry_for = [3]", "must be an exception class"),
        ("retry_for = 3", "must be an exception class"),
        ('retry_if = "bool"', "can only be given in code"),
    ],
)
def test_a_wrong_option_in_a_file_names_the_file_and_the_key(line, complaint, tmp_path):
    with pytest.raises(InvalidTaskOptionsError) as caught:
        options_in_file(tmp_path, f"[task]\n{line}")
    message, option = str(caught.value), line.split()[0]
    assert message.startswith(f"task {__name__}.work: option {option!r}")
    assert complaint in message
    assert message.endswith(f"found in {tmp_path / 'options.toml'}: task.{option}")


def test_a_wrong_option_of_one_task_names_its_section(tmp_path):
    with pytest.raises(InvalidTaskOptionsError) as caught:
        options_in_file(tmp_path, f'[tasks."{__name__}.work"]\npriority = "high"')
    assert str(caught.value).endswith(f'options.toml: tasks."{__name__}.work".priority')


def test_yaml_says_the_same(tmp_path):
    pytest.importorskip("yaml")
    text = f"max_threads: 3\ntask:\n  max_retries: 3\n  timeout: null\ntasks:\n  {__name__}.work:\n    priority: 5\n"
    options = options_in_file(tmp_path, text, "options.yaml")
    assert (options.max_retries, options.timeout, options.priority) == (3, None, 5)
    assert options_in_file(tmp_path, "", "empty.yml") == TaskOptions()


def test_yaml_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'pynenc-async\[yaml\]'"):
        options_in_file(tmp_path, "task: {}", "without.yaml")


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("broken.toml", "[task", "is not valid"),
        ("broken.yaml", "task: [", "is not valid"),
        ("options.ini", "", r"none of the endings \.toml, \.yaml, \.yml"),
        ("flat.toml", "task = 3", "task must be a table of options, not 3"),
        ("flat_task.toml", "[tasks]\nname = 3", 'tasks."name" must be a table'),
        ("list.yaml", "- 1", "the whole must be a table"),
        ("numbers.yaml", "1: 2", "the whole must be a table"),
        ("latin.toml", b"app_id = '\xe9'", "is not valid"),
    ],
)
def test_a_file_of_another_form_is_named_with_what_is_wrong(name, text, complaint, tmp_path):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=f"{name}.*{complaint}"):
        Pynenc(config=path)


def test_a_file_that_is_not_there_is_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match=r"missing\.toml: cannot be read: No such file"):
        Pynenc(config=tmp_path / "missing.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Pynenc(config=tmp_path / "folder.toml")
    monkeypatch.setenv("PYNENC__CONFIG", "elsewhere.toml")
    with pytest.raises(ConfigurationError, match=r"elsewhere\.toml"):
        Pynenc()


def test_the_variable_names_the_file_unless_the_code_does(tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / f"{name}.toml").write_text(f'app_id = "{name}"')
    monkeypatch.setenv("PYNENC__CONFIG", str(tmp_path / "one.toml"))
    assert Pynenc().app_id == "one"
    assert Pynenc(config=tmp_path / "other.toml").app_id == "other"


def test_the_pyproject_of_the_current_directory_is_read_if_it_has_something_to_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Pynenc().app_id == "pynenc"
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "x"')
    assert Pynenc().app_id == "pynenc"
    file.write_text('[tool.pynenc_async]\napp_id = "mine"\n[tool.pynenc_async.task]\npriority = 3')
    app = Pynenc()
    assert app.app_id == "mine"
    assert app.task(work).options.priority == 3
    assert "pyproject.toml: tool.pynenc_async.task.priority" in app.explain_options()


def test_a_file_that_changes_is_read_again(tmp_path):
    path = tmp_path / "options.toml"
    for app_id in ("a", "bb", "ccc"):
        path.write_text(f'app_id = "{app_id}"')
        assert Pynenc(config=path).app_id == app_id


def test_wrong_defaults_in_code_are_refused_where_they_are_given():
    with pytest.raises(InvalidTaskOptionsError, match=r"^Pynenc\(task_defaults=...\): option 'max_retries' must be"):
        Pynenc(task_defaults={"max_retries": -1})
    with pytest.raises(InvalidTaskOptionsError, match="'max_retry' is unknown"):
        Pynenc(task_defaults={"max_retry": 1})


def test_the_table_shows_every_option_and_where_it_was_found(tmp_path, monkeypatch):
    path = tmp_path / "options.toml"
    path.write_text('[task]\nretry_for = ["OSError"]\n[tasks."no.such"]\npriority = 1')
    monkeypatch.setenv("PYNENC__TASK__NEVER_HEARD_OF__PRIORITY", "1")
    app = Pynenc(config=path, max_threads=3)
    app.task(max_retries=2)(work)
    table = app.explain_options()
    rows = {line.split()[0]: line.split(maxsplit=4)[1:] for line in table.splitlines() if line.startswith("  ")}
    assert set(RULES) < set(rows)
    assert rows["max_threads"] == ["3", "none", "Pynenc(...)"]
    assert rows["max_retries"] == ["2", "0", "decorator"]
    assert rows["retry_for"] == ["OSError", "Exception", f"{path}:", "task.retry_for"]
    assert rows["priority"] == ["0", "0", "default"]
    unused = table.partition("Settings of tasks that this app does not have:")[2]
    assert 'tasks."no.such".priority' in unused
    assert "PYNENC__TASK__NEVER_HEARD_OF__PRIORITY" in unused


def options_command(*arguments, cwd, **environment):
    return subprocess.run(  # noqa: S603  a fixed command
        [sys.executable, "-m", "pynenc_async", "options", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_command_prints_the_table(tmp_path):
    (tmp_path / "shop.py").write_text(
        "from pynenc_async import Pynenc\napp = Pynenc(app_id='shop')\n\n@app.task\ndef send(): ...\n\nnumber = 3\n"
    )
    plain = options_command(cwd=tmp_path, PYNENC__MAX_THREADS="4")
    assert plain.returncode == 0
    assert "environment variable PYNENC__MAX_THREADS" in plain.stdout
    shop = options_command("--app", "shop:app", cwd=tmp_path, PYNENC__TASK__SHOP_SEND__PRIORITY="4")
    assert "task shop.send" in shop.stdout
    assert "environment variable PYNENC__TASK__SHOP_SEND__PRIORITY" in shop.stdout
    for path, complaint in (
        ("shop:number", "is no Pynenc app"),
        ("nowhere:app", "nowhere"),
        ("shop:other", "other"),
        (":app", "MODULE:APP"),
    ):
        wrong = options_command("--app", path, cwd=tmp_path)
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert complaint in wrong.stderr
        assert "Traceback" not in wrong.stderr


def test_every_keyword_of_the_app_is_an_option_with_the_same_default():
    keywords = inspect.signature(Pynenc).parameters
    assert {
        name: one.default for name, one in keywords.items() if name not in ("task_defaults", "config", "store")
    } == APP_DEFAULTS
