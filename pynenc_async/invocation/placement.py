"""Where bodies run: the places outside of the loop, and which one a task wants."""

from typing import Final

from pynenc_async.errors import InvalidTaskOptionsError, TaskDefinitionError
from pynenc_async.execution.processes.finding import refuse_hidden
from pynenc_async.execution.processes.interpreters import missing_interpreters
from pynenc_async.execution.processes.process import missing_processes
from pynenc_async.function import Function, FunctionKind
from pynenc_async.options import RunsIn, TaskOptions
from pynenc_async.scheduler.places import Place


class Placement:
    """The places of one app."""

    def __init__(self, *, max_threads: int, max_processes: int, ageing_seconds: float | None) -> None:
        self.threads: Final = Place(max_threads, ageing_seconds)
        self.processes: Final = Place(max_processes, ageing_seconds)
        self.interpreters: Final = Place(max_processes, ageing_seconds)
        self.all: Final = (self.threads, self.processes, self.interpreters)

    def place_of(self, options: TaskOptions, function: Function) -> Place | None:
        """Return where the bodies of a task run; None: on the loop.

        Raises `InvalidTaskOptionsError` where that is impossible, `TaskDefinitionError` for a function that no other
        process can find.
        """
        match options.runs_in:
            case None:
                return self.threads if function.kind is FunctionKind.THREAD else None
            case RunsIn.LOOP:
                return None
            case RunsIn.THREAD:
                if function.kind is not FunctionKind.THREAD:
                    problem = "is 'thread', which is for a def; an async def runs in the loop, or in a process"
                    raise InvalidTaskOptionsError(f"task {function.task_id}", "runs_in", problem)
                return self.threads
            case RunsIn.PROCESS:
                _refuse(function, missing_processes())
                return self.processes
            case RunsIn.INTERPRETER:
                _refuse(function, missing_interpreters())
                return self.interpreters


def _refuse(function: Function, missing: str | None) -> None:
    if missing is not None:
        raise InvalidTaskOptionsError(f"task {function.task_id}", "runs_in", missing)
    refuse_hidden(function)
    for name in function.injected:
        problem = f"asks for a resource with its parameter {name!r}, and resources do not leave this process"
        raise TaskDefinitionError(function.task_id, problem, "open it in the body, or run in the loop or in a thread")
