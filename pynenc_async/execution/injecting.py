"""Bodies that are given resources: what is per invocation opens before the attempt and closes after it, in order.

A body is given what it asks for once, however many of its resources ask for the same. What the caller has passed is not
opened. A resource sees the error of the body at its `yield`, as in any `async with`; it may raise another one, as when a
commit fails, but it cannot turn the failure into a success.
"""

from contextlib import AsyncExitStack
from typing import Any, Protocol

from pynenc_async.execution.handing import run_body
from pynenc_async.function import Drive, Function
from pynenc_async.record import Record
from pynenc_async.resource import Resource, ResourceScope, given_in


class Shared(Protocol):
    """Where resources of the app are kept."""

    async def get(self, resource: Resource[Any], /) -> Any:
        """Return what it has yielded, opened now if need be; raise what opening raises."""
        ...


class Injector:
    """Opens for one attempt what its body asks for."""

    def __init__(self, shared: Shared | None, stack: AsyncExitStack) -> None:
        self._shared = shared
        self._stack = stack
        self._opened: dict[Resource[Any], Any] = {}

    async def value_of(self, resource: Resource[Any]) -> Any:
        """Return what `resource` yields, opened now if need be."""
        if resource not in self._opened:
            if self._shared is not None and resource.scope is ResourceScope.APP:
                value = await self._shared.get(resource)
            else:
                dependencies = {name: await self.value_of(one) for name, one in resource.dependencies.items()}
                value = await self._stack.enter_async_context(resource.open(**dependencies))
            self._opened[resource] = value
        return self._opened[resource]


def with_resources(function: Function, shared: Shared | None) -> Drive:
    """Return what runs a body of `function` with its resources; without `shared`, every one is per invocation."""

    async def drive(record: Record) -> Any:
        failure: BaseException | None = None
        try:
            async with AsyncExitStack() as stack:
                injector = Injector(shared, stack)
                given = given_in(record._values)
                injected = {
                    name: given[name] if name in given else await injector.value_of(resource)
                    for name, resource in function.injected.items()
                }
                try:
                    return await run_body(record, injected)
                except BaseException as error:
                    failure = error
                    raise
            raise failure  # a resource has swallowed it
        finally:
            del record, failure

    return drive
