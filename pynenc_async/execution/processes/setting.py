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
    "import sys; sys.path[:] = sys.stdin.buffer.readline()[:-1].decode('unicode_escape').split('\\0'); "
    "from pynenc_async.execution.processes.worker import main; main(sys.stdin.readline())"
)
"""The program of a worker. Its standard input, which is closed then, has the import path of the app and a `Setting`.

It imports nothing before it has that path: what happens to lie in its working directory is none of its modules.
"""
_ON_NO_PATH_OF_ITS_OWN: Final = "-P"
"""Without this option of Python, the working directory would come first on its path."""


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
    path = "\0".join(place for place in known["sys_path"] if isinstance(place, str))
    # Both lines are ASCII, whatever encoding the worker assumes, and take paths that are no proper text.
    return path.encode("unicode_escape") + f"\n{json.dumps(msgspec.structs.asdict(setting))}\n".encode()


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
    return [_executable(), *options, _ON_NO_PATH_OF_ITS_OWN, "-c", BOOT, name]


def _executable() -> str:
    executable: Any = multiprocessing.spawn.get_executable()
    return str(executable.decode() if isinstance(executable, bytes) else executable or sys.executable)


_subprocess: Final[Any] = subprocess
_prepare: Final[Any] = multiprocessing.spawn.prepare  # not in its `__all__`, and the same since Python 3.4
