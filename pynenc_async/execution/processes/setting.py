"""What a new worker has to know before it can import anything, and how it makes itself at home."""

import json
import multiprocessing.spawn
import subprocess
import sys
from typing import Any, Final

import msgspec

_AT_HOME: Final = frozenset({"sys_argv", "dir", "name"})
_MAIN: Final = frozenset({"init_main_from_name", "init_main_from_path"})

BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.readline()); "
    "from pynenc_async.execution.processes.worker import main; main(sys.stdin.readline())"
)
"""The program of a worker. Its standard input, which is closed then, has the import path and a `Setting`."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How the parent process was started, in the form that multiprocessing uses for the same purpose."""

    name: str
    tokens: int
    """File descriptors of the worker."""
    data: int
    lifeline: int
    prepare: dict[str, Any]
    main: dict[str, Any]
    """How to import the main module; empty where that is not possible."""


def setting_for(name: str, *, tokens: int, data: int, lifeline: int) -> bytes:
    """Return the standard input of a new worker."""
    known = multiprocessing.spawn.get_preparation_data(name)
    setting = Setting(
        name=name,
        tokens=tokens,
        data=data,
        lifeline=lifeline,
        prepare={key: value for key, value in known.items() if key in _AT_HOME},
        main={key: value for key, value in known.items() if key in _MAIN and value is not None},
    )
    # The text of json is ASCII, whatever encoding the worker assumes, and takes paths that are no proper text.
    return f"{json.dumps(known['sys_path'])}\n{json.dumps(msgspec.structs.asdict(setting))}\n".encode()


def read_setting(text: str) -> Setting:
    """Return what `setting_for` has written."""
    return Setting(**json.loads(text))


def settle_in(setting: Setting) -> None:
    """Take over the name, the arguments and the directory of the parent."""
    _prepare(setting.prepare)


def import_main(setting: Setting) -> None:
    """Import the main module of the parent, under the name that multiprocessing gives it: `__mp_main__`."""
    _prepare(setting.main)


def command(name: str) -> list[str]:
    """Return how to start a worker: this interpreter, with its options. The name is for those who list processes."""
    options: list[str] = _subprocess._args_from_interpreter_flags()
    return [_executable(), *options, "-c", BOOT, name]


def _executable() -> str:
    executable: Any = multiprocessing.spawn.get_executable()
    return str(executable.decode() if isinstance(executable, bytes) else executable or sys.executable)


_subprocess: Final[Any] = subprocess
_prepare: Final[Any] = multiprocessing.spawn.prepare  # not in its `__all__`, and the same since Python 3.4
