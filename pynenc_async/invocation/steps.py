"""Steps of an iteration over invocations: no error of a member, or of a source, looks like the end of what is read."""

from asyncio import CancelledError
from typing import Final, Protocol, TypeVar, cast

from pynenc_async.user_errors import SIGNALS, translated

Result_co = TypeVar("Result_co", covariant=True)
Result = TypeVar("Result")

_OF_SOURCES: Final = (*SIGNALS, CancelledError, KeyboardInterrupt)
"""What says something of a reader in which it is raised: that it is at an end, was cancelled, was interrupted."""


class Ended(Protocol[Result_co]):
    """An invocation that has ended."""

    @property
    def result(self) -> Result_co:
        """The value; raises what the function raised."""
        ...

    def exception(self) -> BaseException | None:
        """Return what the function raised, or None."""
        ...


def result_in_step(ended: Ended[Result]) -> Result:
    """Return the value, or raise the failure, as a step of an iteration may: see `translated`."""
    try:
        return ended.result
    except SIGNALS:
        failure = translated(cast(BaseException, ended.exception()))
    try:
        raise failure
    finally:
        del ended, failure  # the traceback holds this frame: it must not hold the invocation in turn


def source_error(error: BaseException) -> BaseException:
    """Return what a reader raises for an error of the source of a group: nothing that says something else of the reader."""
    return translated(error, _OF_SOURCES, by="the source of a group")
