"""Whether a failed attempt is followed by another, and when. Pure, but for the log.

Code of users takes part: `retry_if`, and the classes of exceptions. Whatever that raises, there is an answer.
"""

from collections.abc import Callable
from typing import Final, cast

from pynenc_async.errors import (
    RefusedError,
    RetryError,
    TaskDefinitionError,
    WorkerCrashedError,
    WorkflowNondeterminismError,
)
from pynenc_async.options import TaskOptions
from pynenc_async.telemetry import log
from pynenc_async.user_errors import is_a, name_of

_NEVER_RETRIED: Final = (WorkflowNondeterminismError, RefusedError, TaskDefinitionError)


def delay_before_retry(
    options: TaskOptions, error: BaseException, retries: int, draw: Callable[[], float]
) -> float | None:
    """Return how many seconds the retry waits, or None when there is none.

    `retries`: how many there were. `draw` gives a number from 0 to 1, for jitter.
    """
    if retries >= options.max_retries:
        return None
    try:
        if not _is_retriable(options, error):
            return None
        after = _asked_for(error)
    except BaseException:  # noqa: BLE001  code of users; a CancelledError as well, for nobody has cancelled anything here
        log.exception("retry_if or a class in retry_for raised; the %s is not retried", name_of(error))
        return None
    if after is not None:
        return max(0.0, after)
    delay = min(_backed_off(options, retries), options.retry_max_delay)
    return delay * draw() if options.retry_jitter else delay


def _asked_for(error: BaseException) -> float | None:
    """Return after how many seconds a `RetryError` wants the next attempt, if it says so."""
    after = cast(RetryError, error).after if is_a(error, RetryError) else None
    return None if after is None else after + 0.0


def _backed_off(options: TaskOptions, retries: int) -> float:
    try:
        return options.retry_delay * options.retry_backoff**retries
    except OverflowError:
        return options.retry_max_delay if options.retry_delay else 0.0


def _is_hopeless(options: TaskOptions, error: BaseException) -> bool:
    """Whether another attempt would end like this one, or do harm."""
    if is_a(error, WorkerCrashedError):
        return cast(WorkerCrashedError, error).crashes >= options.max_crashes
    return any(is_a(error, kind) for kind in _NEVER_RETRIED)


def _is_retriable(options: TaskOptions, error: BaseException) -> bool:
    if is_a(error, RetryError):
        return True
    members = _members(error)
    if any(_is_hopeless(options, one) or isinstance(one, options.no_retry_for) for one in (error, *members)):
        return False
    if not isinstance(error, options.retry_for) and not (members and all(_is_meant(options, one) for one in members)):
        return False
    return options.retry_if is None or bool(options.retry_if(error))


def _is_meant(options: TaskOptions, error: BaseException) -> bool:
    return is_a(error, RetryError) or isinstance(error, options.retry_for)


def _members(error: BaseException) -> list[BaseException]:
    """Return the errors that are gathered in a group, as a `TaskGroup` raises it, and in groups within it."""
    found: list[BaseException] = []
    if is_a(error, BaseExceptionGroup):
        for one in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            found += _members(one) or [one]
    return found
