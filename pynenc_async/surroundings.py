"""What surrounds the bodies of an app: its middleware, outermost first, and its resources, next to the body.

What surrounds a task is worked out when the task is defined and each time that a middleware comes or goes, never at a
call: a task that nothing surrounds pays for nothing.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, cast

from pynenc_async.errors import MiddlewareError, TaskDefinitionError
from pynenc_async.execution.app_resources import AppResources
from pynenc_async.execution.handing import run_body
from pynenc_async.execution.injecting import with_resources
from pynenc_async.execution.middleware import Callback, Layer
from pynenc_async.function import Drive
from pynenc_async.record import Record
from pynenc_async.resource import Factory, Resource, ResourceScope, refuse_foreign
from pynenc_async.task import Task

AnyTask = Task[..., Any]
Selection = Iterable[AnyTask | str] | Callable[[AnyTask], bool]
"""Tasks, or their ids, or a function that says of a task whether it is meant."""
AnyMiddleware = TypeVar("AnyMiddleware", bound=Callback)
Made = TypeVar("Made")


class Surroundings:
    """The middleware of one app, and what it makes of the tasks."""

    def __init__(self, *, owner: object, resources: AppResources | None) -> None:
        self._owner: Final = owner
        self._resources: Final = resources
        """None: whatever is asked for is opened for each attempt."""
        self._layers: list[_Chosen] = []
        self._tasks: Final[dict[str, AnyTask]] = {}

    def surround(self, task: AnyTask) -> None:
        """Take in a new task. Raises `TaskDefinitionError` when it asks for a resource of another app."""
        for resource in task.function.injected.values():
            refuse_foreign(task.task_id, resource, self._owner, TaskDefinitionError)
        for chosen in self._layers:
            chosen.look_at(task)
        self._apply(task)
        self._tasks[task.task_id] = task

    def add(self, callback: AnyMiddleware, tasks: Selection | None, *, required: bool) -> AnyMiddleware:
        """Run a middleware around what begins from now on, inside of those that there are."""
        name = _name_of(callback)
        if not (inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(type(callback).__call__)):
            raise MiddlewareError(
                name,
                "is no async function",
                "write `async def name(invocation, call_next)` with `return await call_next()`",
            )
        layer = Layer(callback, name, required=required, disabled=self._remove)
        chosen = _Chosen(layer, _selects(tasks))
        for task in self._tasks.values():
            chosen.look_at(task)
        self._layers.append(chosen)
        self._apply_to_all()
        return callback

    def resource(self, factory: Factory[Made], scope: ResourceScope) -> Resource[Made]:
        """Define a resource."""
        return Resource(factory, scope, self._owner)

    def _remove(self, layer: Layer) -> None:
        self._layers = [one for one in self._layers if one.layer is not layer]
        self._apply_to_all()

    def _apply_to_all(self) -> None:
        for task in self._tasks.values():
            self._apply(task)

    def _apply(self, task: AnyTask) -> None:
        layers = [chosen.layer for chosen in self._layers if task.task_id in chosen.task_ids]
        drive: Drive | None = with_resources(task.function, self._resources) if task.function.injected else None
        if layers and drive is None:
            drive = _run_bare
        for layer in reversed(layers):
            drive = layer.around(cast(Drive, drive))
        task.function.surround(drive)


class _Chosen:
    """A middleware, and its tasks. Whether a task is one is asked once: not again when a body has to end."""

    def __init__(self, layer: Layer, selects: Callable[[AnyTask], bool]) -> None:
        self.layer: Final = layer
        self._selects: Final = selects
        self.task_ids: Final[set[str]] = set()

    def look_at(self, task: AnyTask) -> None:
        """Take in a task if it is selected; raises what the user's function raises."""
        if self._selects(task):
            self.task_ids.add(task.task_id)
        else:
            self.task_ids.discard(task.task_id)


def _run_bare(record: Record) -> Any:
    return run_body(record, {})


def _selects(tasks: Selection | None) -> Callable[[AnyTask], bool]:
    if tasks is None:
        return lambda _: True
    if isinstance(tasks, Task | str):
        tasks = [tasks]
    if callable(tasks):
        return tasks
    ids = {one if isinstance(one, str) else one.task_id for one in tasks}
    return lambda task: not ids.isdisjoint(task.function.ids)


def _name_of(callback: Any) -> str:
    return f"{getattr(callback, '__module__', None)}.{getattr(callback, '__qualname__', type(callback).__qualname__)}"
