"""A call: a task with a set of arguments. Many invocations can execute the same call."""

from functools import cached_property
from typing import Final, Generic, ParamSpec, TypeVar

from pynenc_async.arguments import Arguments, show
from pynenc_async.record import TaskRecord

Params = ParamSpec("Params")
Result = TypeVar("Result")


class Call(Generic[Params, Result]):
    """What is to be executed. Costs nothing until its identity is asked for."""

    def __init__(self, task: TaskRecord, arguments: Arguments) -> None:
        self.task: Final = task
        self.arguments: Final = arguments

    @property
    def serialized_arguments(self) -> dict[str, str]:
        """The JSON text of each argument by parameter name."""
        return self.arguments.serialized

    @cached_property
    def call_id(self) -> str:
        """The identity of the call: equal calls have equal ids in every process; raises `SerializationError`."""
        return f"#task_id#{self.task.task_id}#args_id#{self.arguments.args_id}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Call):
            return NotImplemented
        return self.task.task_id == other.task.task_id and self.arguments == other.arguments

    def __hash__(self) -> int:
        return hash(self.call_id)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={show(value)}" for name, value in self.arguments.kwargs.items())
        return f"{self.task.task_id}({shown})"
