"""The environment variables that carry options."""

import re
from collections.abc import Mapping
from typing import Final

from pynenc_async.configuration.settings import Setting, Source
from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.option_rules import is_unknown
from pynenc_async.options import RULES

PREFIX: Final = "PYNENC__"
TASK: Final = "TASK__"
CONFIG: Final = f"{PREFIX}CONFIG"
"""Names the configuration file."""
FORCE_SYNC: Final = f"{PREFIX}DEV_MODE_FORCE_SYNC_TASKS"
"""`true` makes every app synchronous, whatever its URL."""
_OTHERS: Final = frozenset({CONFIG, FORCE_SYNC})


def read_environment(environment: Mapping[str, str]) -> Source:
    """Return what the environment says; raise `InvalidTaskOptionsError` for a variable that names no option of a task."""
    source = Source()
    for variable, text in environment.items():
        if variable.startswith(PREFIX) and variable not in _OTHERS:
            setting = Setting(text, f"environment variable {variable}", is_text=True)
            name = variable.removeprefix(PREFIX)
            if name.startswith(TASK):
                _put_task_setting(source, variable, name.removeprefix(TASK), setting)
            else:
                source.app[name.lower()] = setting
    return source


def _put_task_setting(source: Source, variable: str, name: str, setting: Setting) -> None:
    task, separator, option = name.rpartition("__")
    option = option.lower()
    if option not in RULES:
        problem = is_unknown(option, RULES, what="the options of a task are")
        raise InvalidTaskOptionsError(f"environment variable {variable}", option, problem)
    if separator:
        source.by_task.setdefault(task, {})[option] = setting
    else:
        source.all_tasks[option] = setting


def is_forced_to_sync(environment: Mapping[str, str]) -> bool:
    """Whether the environment makes every app synchronous."""
    return environment.get(FORCE_SYNC, "").strip().lower() in ("1", "true", "yes", "on")


def as_variable(task_id: str) -> str:
    """Return how a task id is written in the name of a variable."""
    return re.sub(r"[^A-Z0-9]", "_", task_id.upper())
