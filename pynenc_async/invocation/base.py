"""What every invocation and every group of them has."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar

from pynenc_async.arguments import Arguments
from pynenc_async.call import Call
from pynenc_async.record import TaskRecord
from pynenc_async.status import InvocationStatus

Params = ParamSpec("Params")
Result = TypeVar("Result")


class AppRecord(Protocol):
    """What an invocation knows of its app."""

    @property
    def app_id(self) -> str:
        """The name of the app."""
        ...

    def get_task(self, task_id: str) -> Any:
        """Return the task; raise `KeyError`."""
        ...

    def find_invocation(self, invocation_id: str) -> Any:
        """Return the invocation if it is known here, else None."""
        ...


class BaseInvocation(ABC, Generic[Params, Result]):
    """One execution of a call."""

    __slots__ = ()

    @property
    @abstractmethod
    def call(self) -> Call[Params, Result]:
        """What is executed."""

    @property
    @abstractmethod
    def app(self) -> AppRecord:
        """Where it was submitted."""

    @property
    @abstractmethod
    def task(self) -> TaskRecord:
        """The task of the call."""

    @property
    @abstractmethod
    def arguments(self) -> Arguments:
        """The arguments of the call."""

    @property
    def serialized_arguments(self) -> dict[str, str]:
        """The JSON text of each argument by parameter name."""
        return self.arguments.serialized

    @abstractmethod
    def to_json(self) -> str:
        """Write the invocation down as one flat JSON object."""

    @classmethod
    @abstractmethod
    def from_json(cls, app: Any, serialized: str) -> Self:
        """Return the invocation that `to_json` wrote down; no I/O. Raises `SerializationError` naming the field."""

    @property
    def call_id(self) -> str:
        """The identity of the call."""
        return self.call.call_id

    @property
    @abstractmethod
    def invocation_id(self) -> str:
        """The identity of this execution."""

    @property
    @abstractmethod
    def status(self) -> InvocationStatus:
        """Where it stands."""

    @property
    @abstractmethod
    def result(self) -> Result:
        """The value; raises what the function raised."""

    @property
    @abstractmethod
    def num_retries(self) -> int:
        """How many attempts were followed by another."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} is not pickled; send to_json(), and read it with from_json(app, text)")

    def __hash__(self) -> int:
        return hash(self.invocation_id)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, BaseInvocation):
            return NotImplemented
        return self.invocation_id == other.invocation_id


class BaseInvocationGroup(ABC, Generic[Params, Result]):
    """Invocations of one task that were submitted together."""

    @property
    @abstractmethod
    def task(self) -> TaskRecord:
        """The task of all members."""

    @property
    @abstractmethod
    def app(self) -> AppRecord:
        """Where they were submitted."""

    @property
    @abstractmethod
    def invocations(self) -> Sequence[BaseInvocation[Params, Result]]:
        """The members so far, in order of submission."""

    @property
    @abstractmethod
    def results(self) -> Any:
        """The results, one by one."""

    def __iter__(self) -> Iterator[BaseInvocation[Params, Result]]:
        return iter(self.invocations)

    def __len__(self) -> int:
        return len(self.invocations)
