"""The tasks that workers are told of, and the check that they can be run elsewhere at all."""

from typing import Final

from pynenc_async.arguments import encode_values
from pynenc_async.execution.processes.finding import refuse_lost
from pynenc_async.execution.processes.messages import Define
from pynenc_async.function import Function
from pynenc_async.record import Record

_NO_ARGUMENTS: Final = b"{}"


class Catalogue:
    """Every function that was ever to be run elsewhere, by a number."""

    def __init__(self) -> None:
        self.defines: Final[list[Define]] = []
        self._indexes: Final[dict[Function, int]] = {}

    def index_of(self, record: Record) -> int:
        """Return the number of a task; raise `TaskDefinitionError` if a worker cannot find it.

        Raises `SerializationError` where a parameter is annotated with what nothing can be decoded to.
        """
        function: Function = record._task.function
        index = self._indexes.get(function)
        if index is None:
            refuse_lost(function)
            _ = function.arguments_decoder
            index = self._indexes[function] = len(self.defines)
            self.defines.append(Define(index, function.task_id, function.module, function.qualname))
        return index


def encode_arguments(record: Record) -> bytes:
    """Return the arguments as JSON; raise `SerializationError` that names task and parameter."""
    function: Function = record._task.function
    return encode_values(function, record._values) if function.names else _NO_ARGUMENTS
