"""What has happened, as conditions, keys and argument functions see it: frozen values."""

from typing import Any, Final, Protocol

import msgspec

from pynenc_async.status import InvocationStatus

_LONGEST_PATH: Final = 100
_MOST_SHOWN: Final = 10


class Named(Protocol):
    """A task, as far as triggers go by its name."""

    @property
    def task_id(self) -> str:
        """The module and name of the function."""
        ...


class Chain(msgspec.Struct, frozen=True):
    """The triggers that led to something, one fire after the other."""

    length: int = 0
    path: tuple[str, ...] = ()
    """Their names, the first one first; of a very long chain only the last ones."""

    def then(self, trigger: str) -> "Chain":
        """Return the chain with one more fire."""
        return Chain(self.length + 1, (*self.path[1 - _LONGEST_PATH :], trigger))

    def __str__(self) -> str:
        shown = self.path[-_MOST_SHOWN:]
        return " -> ".join(shown if self.length == len(shown) else ("...", *shown))


NO_CHAIN: Final = Chain()


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """An invocation has reached a status, or an event was emitted."""

    timestamp: float
    """Seconds since the epoch."""
    invocation_id: str | None
    """The invocation that reached the status, or in whose body the event was emitted; None: outside of bodies."""
    task_id: str | None = None
    """The task of the invocation that reached the status; None for an event."""
    status: InvocationStatus | None = None
    attempt: int = 0
    reason: str = ""
    arguments: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """The arguments of that invocation, by name of the parameter."""
    result: Any = None
    """What it returned, after SUCCESS."""
    error: BaseException | None = None
    """What it raised, after FAILED; or the error that says why it expired or was dropped."""
    event: str | None = None
    """The name of the emitted event; None for a transition."""
    payload: Any = None
    """What was emitted."""
    chain: Chain = NO_CHAIN

    @property
    def value(self) -> Any:
        """The payload of an event; of a transition the result, or else the error."""
        if self.event is not None:
            return self.payload
        return self.result if self.error is None else self.error


class TriggerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A condition is met: what the argument function of a trigger is given."""

    trigger: str
    """The name of the trigger."""
    occurrences: tuple[Occurrence, ...]
    """What met it, in the order in which the condition names them."""
    last: Occurrence
    """The one that happened last, which made the trigger fire."""
    key: Any = None
    """What they were joined by."""
    chain: Chain = NO_CHAIN
    """The fires that led to this one, itself included."""

    @property
    def result(self) -> Any:
        """The result of the last occurrence."""
        return self.last.result

    @property
    def error(self) -> BaseException | None:
        """The error of the last occurrence."""
        return self.last.error

    @property
    def payload(self) -> Any:
        """The payload of the last occurrence."""
        return self.last.payload

    def __getitem__(self, source: Named | str) -> Occurrence:
        """Return the occurrence of a task, given itself or as its `task_id`, or of an event, by its name.

        Raises `KeyError` where there is none among those that met the condition.
        """
        name = source if isinstance(source, str) else source.task_id
        for occurrence in self.occurrences:
            if name in (occurrence.task_id, occurrence.event):
                return occurrence
        raise KeyError(name)
