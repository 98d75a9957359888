"""What the runtime says to the outside without being asked: its logger, and the failure that nobody looked at."""

import logging
import os
from typing import Final

logger: Final = logging.getLogger("pynenc_async")


class Alarm:
    """Logs a failure once, when the last handle of the invocation is dropped and nobody has looked at the error.

    It hangs on the record of which the store keeps a twin, so that only the handles of users keep it alive. A copy in a
    forked child stays silent: it is said in the process in which it happened.
    """

    __slots__ = ("_error", "_invocation_id", "_process_id", "_task_id")

    def __init__(self, task_id: str, invocation_id: str, error: BaseException) -> None:
        self._task_id = task_id
        self._invocation_id = invocation_id
        self._error: BaseException | None = error
        self._process_id = os.getpid()

    def disarm(self) -> None:
        """Somebody has seen the error."""
        self._error = None

    def __del__(self) -> None:
        error = self._error
        if error is not None and os.getpid() == self._process_id:
            logger.error(
                "invocation %s of task %s failed, and nobody looked at the error",
                self._invocation_id,
                self._task_id,
                exc_info=(type(error), error, error.__traceback__),
                extra={"invocation_id": self._invocation_id, "task_id": self._task_id},
            )
