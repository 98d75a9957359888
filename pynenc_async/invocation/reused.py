"""What a call gives that was a duplicate of a registered one."""

from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, final

from pynenc_async.arguments import Arguments
from pynenc_async.call import Call
from pynenc_async.execution.progress import Progress
from pynenc_async.history import HistoryEntry
from pynenc_async.invocation.base import AppRecord, BaseInvocation
from pynenc_async.invocation.cancellation import Cancellation, CancelOutcome
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.updates import ProgressUpdates
from pynenc_async.record import TaskRecord
from pynenc_async.status import InvocationStatus

Params = ParamSpec("Params")
Result = TypeVar("Result")


@final
class ReusedInvocation(BaseInvocation[Params, Result], Generic[Params, Result]):
    """A handle to the invocation of an earlier call, which stands for this call, too.

    It is equal to the handle of `original`, and does all that that does. `different_arguments` says in which arguments the
    two calls differ: by parameter, the value of the original and the value of this call.
    """

    __slots__ = ("__weakref__", "different_arguments", "original")

    def __init__(self, original: DistributedInvocation[Params, Result], different: dict[str, tuple[Any, Any]]) -> None:
        self.original: Final = original
        self.different_arguments: Final = different

    def __await__(self) -> Generator[Any, None, Result]:
        return self.original.__await__()

    async def wait(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109  as the handle that it stands for
        """See `DistributedInvocation.wait`."""
        return await self.original.wait(timeout)

    async def accepted(self) -> Self:
        """See `DistributedInvocation.accepted`."""
        await self.original.accepted()
        return self

    def cancel(self, reason: str = "") -> Cancellation[CancelOutcome]:
        """Cancel the original, for all who share it, at the call; see `DistributedInvocation.cancel`."""
        return self.original.cancel(reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the original alone: others share it."""

    def stream(self, *, from_start: bool = True) -> AsyncIterator[Result]:
        """See `DistributedInvocation.stream`."""
        return self.original.stream(from_start=from_start)

    def updates(self) -> ProgressUpdates:
        """See `DistributedInvocation.updates`."""
        return self.original.updates()

    @property
    def progress(self) -> Progress | None:
        """What the body has reported last."""
        return self.original.progress

    @property
    def result(self) -> Result:
        """See `DistributedInvocation.result`."""
        return self.original.result

    def blocking_result(self, timeout: float | None = None) -> Result:
        """See `DistributedInvocation.blocking_result`."""
        return self.original.blocking_result(timeout)

    def exception(self) -> BaseException | None:
        """See `DistributedInvocation.exception`."""
        return self.original.exception()

    @property
    def call(self) -> Call[Params, Result]:
        """The call of the original."""
        return self.original.call

    @property
    def app(self) -> AppRecord:
        """The app that it belongs to."""
        return self.original.app

    @property
    def task(self) -> TaskRecord:
        """The task, with the options of the original."""
        return self.original.task

    @property
    def arguments(self) -> Arguments:
        """The arguments of the original."""
        return self.original.arguments

    @property
    def invocation_id(self) -> str:
        """The id of the original."""
        return self.original.invocation_id

    @property
    def parent_invocation_id(self) -> str | None:
        """The invocation in whose body the original was submitted."""
        return self.original.parent_invocation_id

    @property
    def status(self) -> InvocationStatus:
        """Where the original stands now."""
        return self.original.status

    @property
    def num_retries(self) -> int:
        """How many attempts were followed by another."""
        return self.original.num_retries

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """Every transition of the original so far."""
        return self.original.history

    def to_json(self) -> str:
        """Write the original down."""
        return self.original.to_json()

    @classmethod
    def from_json(cls, app: Any, serialized: str) -> Any:
        """Return the invocation that was written down: the original, or a handle to it."""
        handle: Any = DistributedInvocation
        return handle.from_json(app, serialized)
