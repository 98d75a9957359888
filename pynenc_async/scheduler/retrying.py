"""Whether a failed attempt is followed by another, and when. Pure."""

from collections.abc import Callable

from pynenc_async.errors import (
    RefusedError,
    RetryError,
    TaskDefinitionError,
    WorkerCrashedError,
    WorkflowNondeterminismError,
)
from pynenc_async.options import TaskOptions
from pynenc_async.telemetry import logger


def delay_before_retry(
    options: TaskOptions, error: BaseException, retries: int, draw: Callable[[], float]
) -> float | None:
    """Return how many seconds the retry waits, or None when there is none.

    `retries`: how many there were. `draw` gives a number from 0 to 1, for jitter.
    """
    if retries >= options.max_retries or not _is_retriable(options, error):
        return None
    if isinstance(error, RetryError) and error.after is not None:
        return max(0.0, error.after)
    delay = min(_backed_off(options, retries), options.retry_max_delay)
    return delay * draw() if options.retry_jitter else delay


def _backed_off(options: TaskOptions, retries: int) -> float:
    try:
        return options.retry_delay * options.retry_backoff**retries
    except OverflowError:
        return options.retry_max_delay if options.retry_delay else 0.0


def _is_hopeless(options: TaskOptions, error: BaseException) -> bool:
    """Whether another attempt would end like this one, or do harm."""
    if isinstance(error, WorkerCrashedError):
        return error.crashes >= options.max_crashes
    return isinstance(error, (WorkflowNondeterminismError, RefusedError, TaskDefinitionError))


def _is_retriable(options: TaskOptions, error: BaseException) -> bool:
    if isinstance(error, RetryError):
        return True
    if (
        _is_hopeless(options, error)
        or not isinstance(error, options.retry_for)
        or isinstance(error, options.no_retry_for)
    ):
        return False
    if options.retry_if is None:
        return True
    try:
        return bool(options.retry_if(error))
    except Exception:  # noqa: BLE001  user code
        logger.exception("retry_if raised; the failure of type %s is not retried", type(error).__name__)
        return False
