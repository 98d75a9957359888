"""The program of a worker: take a body, tell that it begins, run it, tell how it ended."""

import faulthandler
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from socket import socket
from typing import Any, Final

import msgspec

from pynenc_async.arguments import decode_values
from pynenc_async.execution.processes.at_work import InvocationAtWork, TaskAtWork
from pynenc_async.execution.processes.bodies import Bodies
from pynenc_async.execution.processes.finding import MAIN, find
from pynenc_async.execution.processes.inbox import Inbox
from pynenc_async.execution.processes.inside import Phase, enter
from pynenc_async.execution.processes.messages import Began, Raised, Ready, Returned, Run
from pynenc_async.execution.processes.outbox import Outbox
from pynenc_async.execution.processes.setting import import_main, read_setting, settle_in
from pynenc_async.execution.processes.stopping import Stopping, leave, raise_cancelled
from pynenc_async.function import Function, Values
from pynenc_async.outcome import ErrorData, describe, value_error

_MP_MAIN: Final = "__mp_main__."
"""How the names of classes begin that are defined in the main module, in a worker."""


class Worker:
    """Serves one app until that is gone, or the worker is told to stop."""

    def __init__(
        self, tokens: socket, data: socket, stopping: Stopping, import_main_module: Callable[[], object]
    ) -> None:
        self._stopping: Final = stopping
        self._inbox: Final = Inbox(tokens, data, stopping)
        self._outbox: Final = Outbox(data, stopping)
        self._bodies: Final = Bodies(self._inbox, self._outbox, stopping)
        self._import_main: Final = import_main_module
        self._has_main = False
        self._tasks: Final[dict[int, TaskAtWork]] = {}

    def look_for_requests(self) -> None:
        """Learn of requests to stop from messages."""
        self._stopping.look = self._inbox.look

    def serve(self) -> None:
        """Run bodies until there are no more to come."""
        enter(Phase.SERVING)
        try:
            self._outbox.send(Ready())
            while (run := self._next()) is not None:
                told = self._execute(run)
                self._outbox.leave_copy()
                self._outbox.add(told)
            self._outbox.send()
        except (OSError, EOFError):
            return  # the app is gone
        finally:
            self._bodies.close()

    def _next(self) -> Run | None:
        """Return the next body, after telling what there is to tell before waiting for it; None at the end."""
        if self._stopping.requested:
            return None
        run = self._inbox.next_now()
        if run is None:
            self._outbox.send()
            run = self._wait()
        return run

    def _wait(self) -> Run | None:
        """Wait for a body; a request to stop ends the wait, and the worker."""
        self._stopping.tell(leave)
        if self._stopping.requested:  # since the last look
            return None
        run = self._inbox.next()
        self._stopping.tell(None)
        return run

    def _execute(self, run: Run) -> Returned | Raised:
        began = time.perf_counter()
        try:
            try:
                self._stopping.tell(self._stopping.interrupt)
                if self._stopping.requested:  # since the body was taken
                    raise_cancelled()
                task = self._task(run.task)
                values = _values_of(run, task.function)
                self._outbox.send(Began(run.ticket))
                began = time.perf_counter()
                invocation = InvocationAtWork(run, task, values, self._outbox, self._stopping)
                returned, outcome = self._bodies.run(invocation, run.ticket)
                seconds = time.perf_counter() - began
                self._outbox.flush_progress()
                if returned:
                    return _returned(run.ticket, task.function, outcome, seconds)
                return Raised(run.ticket, _described(outcome), seconds)
            finally:
                self._stopping.tell(None)
        except BaseException as error:  # noqa: BLE001  whatever it is, the app is told
            self._outbox.leave_copy(error)
            return Raised(run.ticket, _described(error), time.perf_counter() - began)

    def _task(self, index: int) -> TaskAtWork:
        task = self._tasks.get(index)
        if task is None:
            define = self._inbox.tasks[index]
            enter(Phase.IMPORTING)
            try:
                if define.module == MAIN and not self._has_main:
                    self._import_main()
                    self._has_main = True
                function = find(define.task_id, define.module, define.qualname)
            finally:
                enter(Phase.SERVING)
            task = self._tasks[index] = TaskAtWork(define.task_id, function)
        return task


def _values_of(run: Run, function: Function) -> Values:
    try:
        return decode_values(function, run.arguments) if function.names else ()
    except BaseException as problem:
        raise value_error(problem, "arguments") from problem


def _returned(ticket: int, function: Function, value: object, seconds: float) -> Returned | Raised:
    try:
        return Returned(ticket, function.result_wire.encode(value, field="result"), seconds)
    except BaseException as problem:  # noqa: BLE001  code of the value's class runs here
        return Raised(ticket, _described(value_error(problem, "result")), seconds)


def main(text: str) -> None:
    """Run a worker process; `text` is its `Setting`."""
    setting = read_setting(text)
    enter(Phase.SERVING)
    stopping = Stopping(raise_cancelled)
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.request())
    signal.signal(signal.SIGINT, _let_the_app_decide)
    _die_with_the_app(setting.lifeline)
    if not faulthandler.is_enabled() and sys.stderr is not None:
        faulthandler.enable()  # a crash then says on stderr where it was
    settle_in(setting)
    with socket(fileno=setting.tokens) as tokens, socket(fileno=setting.data) as data:
        Worker(tokens, data, stopping, lambda: import_main(setting)).serve()


def serve_in_interpreter(text: str) -> None:
    """Run a worker in an interpreter of its own; `text` is its `Setting`. Signals belong to another one."""
    setting = read_setting(text)
    enter(Phase.SERVING)
    with socket(fileno=setting.tokens) as tokens, socket(fileno=setting.data) as data:
        worker = Worker(tokens, data, Stopping(None), lambda: import_main(setting))
        worker.look_for_requests()
        worker.serve()


def _let_the_app_decide(*_: object) -> None:
    """A terminal sends SIGINT to the app and to its workers; what becomes of bodies is decided in the app.

    A handler, and not SIG_IGN, which the programs that a body starts would inherit.
    """


def _die_with_the_app(lifeline: int) -> None:
    """Let the kernel kill this process when the app dies, even in a body that never comes back to the interpreter.

    The pipe carries nothing; that its other end is closed is the signal. A thread that waits for it would need the
    interpreter, and would make every fork in a body one of a program with threads.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    else:
        signal.signal(signal.SIGIO, lambda _number, _frame: os._exit(1))  # macOS
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _described(error: BaseException) -> ErrorData:
    """Write an exception down, with the names that the classes of the main module have in the app."""
    return _named_as_in_app(describe(error))


def _named_as_in_app(data: ErrorData) -> ErrorData:
    changes: dict[str, Any] = {}
    if data.type_name.startswith(_MP_MAIN):
        changes["type_name"] = f"{MAIN}.{data.type_name.removeprefix(_MP_MAIN)}"
    if data.cause is not None:
        changes["cause"] = _named_as_in_app(data.cause)
    if data.exceptions:
        changes["exceptions"] = [_named_as_in_app(one) for one in data.exceptions]
    return msgspec.structs.replace(data, **changes) if changes else data
