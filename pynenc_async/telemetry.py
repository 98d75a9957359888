"""What the runtime says to the outside without being asked: its logger, and the failure that nobody looked at.

Everything that the package logs goes through `log`. A handler or a filter of the application may raise, and `logging`
lets that through to the caller, who may be in the midst of a decision. Here it ends: nothing depends on the log. Callers
log after the effect, for a handler is free to call tasks, and to look at what it is told of.
"""

import logging
import os
import sys
import traceback
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final, Literal

from pynenc_async.interrupts import raise_soon
from pynenc_async.printable import Lines, printable, printable_lines
from pynenc_async.user_errors import is_a, traceback_of


class SafeLogger:
    """Logs like a `logging.Logger`, and never raises. Takes what that takes: `exc_info`, `extra`."""

    def __init__(self, to: logging.Logger) -> None:
        self._logger: Final = to

    def info(self, message: str, *args: object, **options: Any) -> None:
        """Log what is usual."""
        if self._logger.isEnabledFor(logging.INFO):
            self._log(logging.INFO, message, args, options)

    def warning(self, message: str, *args: object, **options: Any) -> None:
        """Log a warning."""
        self._log(logging.WARNING, message, args, options)

    def error(self, message: str, *args: object, **options: Any) -> None:
        """Log an error."""
        self._log(logging.ERROR, message, args, options)

    def exception(self, message: str, *args: object, **options: Any) -> None:
        """Log an error, with the exception that is being handled."""
        self._log(logging.ERROR, message, args, {"exc_info": True, **options})

    def _log(self, level: int, message: str, args: tuple[object, ...], options: dict[str, Any]) -> None:
        error = options.get("exc_info")
        if isinstance(error, BaseException):  # `logging` would ask its class for the traceback
            options["exc_info"] = type(error), error, traceback_of(error)
        try:
            self._logger.log(level, message, *args, stacklevel=3, **options)
        except KeyboardInterrupt as interrupt:
            raise_soon(interrupt)  # which comes from outside, and is no fault of the handler
        except BaseException:  # noqa: BLE001  of a handler or a filter, whatever it is
            _complain()


def _complain() -> None:
    """Say on stderr why something was not logged, as `logging` does itself of what its own handlers raise."""
    if logging.raiseExceptions and sys.stderr is not None:
        with suppress(BaseException):
            sys.stderr.write("--- pynenc_async could not log ---\n")
            traceback.print_exc(file=sys.stderr)


def make_printable(record: logging.LogRecord) -> bool:
    """Spell out, in what is about to be logged, what a terminal would obey; be a filter that lets everything through.

    Ids, errors and reasons may come from strangers, by way of a file or of JSON.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(map(_shown, record.args))
    if record.exc_info and not record.exc_text:
        text = _FORMATTER.formatException(record.exc_info)
        shown = printable_lines(text)
        if shown != text:
            record.exc_text = shown  # which formatters take as it is
    return True


def _shown(arg: object) -> object:
    if isinstance(arg, Lines):
        return printable_lines(arg)
    if isinstance(arg, str):
        return printable(arg)
    if is_a(arg, BaseException):
        text = str(arg)
        return arg if text.isprintable() else printable(text)
    return arg


_FORMATTER: Final = logging.Formatter()
logger: Final = logging.getLogger("pynenc_async")
logger.addFilter(make_printable)
log: Final = SafeLogger(logger)


class LogFailures(StrEnum):
    """Which final failures are logged, at ERROR. Retries are logged at INFO, unless it is none.

    Attributes:
        UNSEEN: Those that no awaiter in this process has taken within a second.
        ALL: Each, at its end.
        NONE: None.

    """

    UNSEEN = "unseen"
    ALL = "all"
    NONE = "none"


LogFailuresName = Literal["unseen", "all", "none"]


class Alarm:
    """Logs a failure once, unless an awaiter has taken it: when the last handle is dropped, or when it is told to sound.

    It hangs on the record of which the store keeps a twin, so that only the handles of users keep it alive. A copy in a
    forked child stays silent: it is said in the process in which it happened.
    """

    __slots__ = ("__weakref__", "_error", "_invocation_id", "_process_id", "_task_id", "was_awaited")

    def __init__(self, task_id: str, invocation_id: str, error: BaseException) -> None:
        self._task_id = task_id
        self._invocation_id = invocation_id
        self._error: BaseException | None = error
        self._process_id = os.getpid()
        self.was_awaited = False
        """Whether somebody has waited for the end, and may take the failure now."""

    def disarm(self) -> None:
        """Somebody has taken the error."""
        self._error = None

    def sound(self) -> None:
        """Log the failure, once."""
        error, self._error = self._error, None
        if error is not None and os.getpid() == self._process_id:
            report_unseen(self._task_id, self._invocation_id, error)

    def __del__(self) -> None:
        self.sound()


def report_unseen(task_id: str, invocation_id: str, error: BaseException) -> None:
    """Log a failure at which nobody has looked."""
    log.error(
        "invocation %s of task %s failed, and nobody looked at the error",
        invocation_id,
        task_id,
        exc_info=error,
        extra={"invocation_id": invocation_id, "task_id": task_id},
    )
