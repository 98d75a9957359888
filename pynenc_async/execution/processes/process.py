"""One worker process, as the app sees it: started, told to stop, killed, waited for."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import ClassVar, Final, Protocol

from pynenc_async.execution.processes.setting import command, setting_for


def missing_processes() -> str | None:
    """Say why there can be no worker processes here, if that is so."""
    return None if os.name == "posix" else "is 'process', which needs a POSIX system: Linux, macOS or a BSD"


class Life(Protocol):
    """What runs a worker. Its methods are for one thread."""

    tokens: socket.socket
    """Where tickets are written, and below where those are read back."""
    far_tokens: socket.socket
    data: socket.socket

    can_be_killed: ClassVar[bool]
    """Whether `kill` ends a body."""

    def terminate(self) -> None:
        """Ask it to end."""
        ...

    def kill(self) -> None:
        """End it."""
        ...

    def reap(self) -> int:
        """Wait for its end, let go of what belongs to it, and return its exit code: below 0 the number of a signal."""
        ...

    def let_go(self) -> None:
        """Close what leads to it, and leave it alone."""
        ...


class WorkerProcess:
    """A `Life` in a process. `died` is called, once and in another thread, when it has ended and can be reaped."""

    can_be_killed: ClassVar[bool] = True

    def __init__(self, name: str, died: Callable[[], object]) -> None:
        with ExitStack() as undo, ExitStack() as far:
            self.tokens, self.far_tokens = map(undo.enter_context, socket.socketpair())
            data, far_data = socket.socketpair()
            self.data, far_data = undo.enter_context(data), far.enter_context(far_data)
            self.data.setblocking(False)
            lifeline, self._lifeline = os.pipe()
            far.callback(os.close, lifeline)
            undo.callback(self._close_lifeline)
            self._process: Final = _start(name, self.far_tokens.fileno(), far_data.fileno(), lifeline)
            undo.callback(_bury, self._process)
            self.pid: Final = self._process.pid
            watch = threading.Thread(target=_watch, args=(self._process, died), name=f"{name}-watch", daemon=True)
            watch.start()
            undo.pop_all()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def reap(self) -> int:
        """Wait for its end, close what leads to it, and return its exit code."""
        self.let_go()
        return self._process.wait()

    def let_go(self) -> None:
        """Close what leads to it."""
        for channel in (self.tokens, self.far_tokens, self.data):
            channel.close()
        self._close_lifeline()

    def _close_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _bury(process: "subprocess.Popen[bytes]") -> None:
    """End a process that nobody is going to watch."""
    process.kill()
    process.wait()


def _start(name: str, tokens: int, data: int, lifeline: int) -> "subprocess.Popen[bytes]":
    setting = setting_for(name, tokens=tokens, data=data, lifeline=lifeline)
    process = subprocess.Popen(  # noqa: S603  this interpreter, our own program
        command(name), stdin=subprocess.PIPE, pass_fds=(tokens, data, lifeline)
    )
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin:  # it is dead already: `_watch` says so
            process.stdin.write(setting)
    return process


def _watch(process: "subprocess.Popen[bytes]", died: Callable[[], object]) -> None:
    """Wait for the end of the process without reaping it: until then its number is its own, and it can be killed."""
    if hasattr(os, "waitid"):
        with suppress(ChildProcessError):  # somebody else has waited for it
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()
    died()


def signal_name(exit_code: int) -> str | None:
    """Return the name of the signal that ended a process, if one did."""
    try:
        return signal.Signals(-exit_code).name if exit_code < 0 else None
    except ValueError:
        return f"signal {-exit_code}"
