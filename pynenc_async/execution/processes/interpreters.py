"""Workers in interpreters of their own, inside this process: the same program and channels, in a thread.

An interpreter cannot be killed. A body in it learns that it is to stop as one in a thread does (`stop_requested`), or, if
it is `async def`, by its cancellation; one that does not listen is abandoned. A crash is that of the whole process.

Every extension module must allow for it. As long as msgspec does not, there are none: see `missing_interpreters`.
"""

import importlib
import importlib.util
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from typing import Any, ClassVar, Final

import msgspec

from pynenc_async.execution.processes.setting import setting_for
from pynenc_async.printable import printable_lines

_MODULE: Final = "concurrent.interpreters"
PROLOGUE: Final[list[str]] = []
"""What an interpreter does before it imports anything."""
_PROBE: Final = "import msgspec"
_PROGRAM: Final = (
    "from pynenc_async.execution.processes.worker import serve_in_interpreter; serve_in_interpreter(setting)"
)
_PATIENCE_SECONDS: Final = 1.0
"""How long the end of this process waits for a body in an interpreter."""


def missing_interpreters() -> str | None:
    """Say why there can be no interpreters here, if that is so."""
    if importlib.util.find_spec(_MODULE) is None:
        return "is 'interpreter', which needs CPython 3.14 or later; 'process' works here"
    problem = _probe()
    if problem is None:
        return None
    version = msgspec.__version__
    return f"is 'interpreter', but msgspec {version} does not load in one ({problem}); 'process' works here"


@lru_cache(maxsize=1)
def _probe() -> str | None:
    """Say why an interpreter cannot import what every worker needs."""
    module = _interpreters()
    interpreter = module.create()
    try:
        interpreter.prepare_main(path=tuple(sys.path))
        interpreter.exec(_program(_PROBE))
    except module.ExecutionFailed as error:
        return str(error).strip().partition("\n")[0]
    finally:
        interpreter.close()
    return None


class WorkerInterpreter:
    """A `Life` in an interpreter. `died` is called, once and in its thread, when it has ended."""

    can_be_killed: ClassVar[bool] = False

    def __init__(self, name: str, died: Callable[[], object]) -> None:
        with ExitStack() as undo:
            self.tokens, self.far_tokens = map(undo.enter_context, socket.socketpair())
            self.data, far_data = map(undo.enter_context, socket.socketpair())
            self.data.setblocking(False)
            # The worker closes what it gets; tickets are read back by a descriptor that stays here.
            tokens = socket.dup(self.far_tokens.fileno())
            undo.callback(socket.close, tokens)
            setting = setting_for(name, tokens=tokens, data=far_data.fileno(), lifeline=-1).decode().splitlines()[1]
            self._exit_code = 0
            self._thread: Final = threading.Thread(target=self._run, args=(setting, died), name=name, daemon=True)
            self._thread.start()
            far_data.detach()
            undo.pop_all()

    def terminate(self) -> None:
        """Let it end after its body, which was told to stop."""
        self.kill()

    def kill(self) -> None:
        """Let it end after its body: more cannot be done."""
        try:
            self.tokens.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it was told before

    def reap(self) -> int:
        """Wait a moment for its end, close what leads to it, and return 1 if it ended by an error."""
        self.let_go()
        self._thread.join(_PATIENCE_SECONDS)
        return self._exit_code

    def let_go(self) -> None:
        """Close what leads to it."""
        for channel in (self.tokens, self.far_tokens, self.data):
            channel.close()

    def _run(self, setting: str, died: Callable[[], object]) -> None:
        module = _interpreters()
        interpreter = module.create()
        try:
            interpreter.prepare_main(path=tuple(sys.path), setting=setting)
            interpreter.exec(_program(_PROGRAM))
        except module.ExecutionFailed as error:
            self._exit_code = 1
            sys.stderr.write(printable_lines(f"{error}\n"))
        finally:
            interpreter.close()
            died()


def _program(rest: str) -> str:
    return "; ".join(["import sys", "sys.path[:] = path", *PROLOGUE, rest])


def _interpreters() -> Any:
    return importlib.import_module(_MODULE)
