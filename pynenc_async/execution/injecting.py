"""Bodies that are given resources: what is per invocation opens before the attempt and closes after it, in order.

A body is given what it asks for once, however many of its resources ask for the same. What the caller has passed is not
opened. A resource sees the error of the body at its `yield`, as in any `async with`; it may raise another one, as when a
commit fails, but it cannot turn the failure into a success.
"""

from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from pynenc_async.execution.handing import run_body
from pynenc_async.function import Drive, Function
from pynenc_async.record import Record
from pynenc_async.resource import Resource, ResourceScope, given_in
from pynenc_async.user_errors import traceback_of


class Shared(Protocol):
    """Where resources of the app are kept."""

    async def get(self, resource: Resource[Any], /) -> Any:
        """Return what it has yielded, opened now if need be; raise what opening raises."""
        ...


class Injector:
    """Opens for one attempt what its body asks for, and closes it."""

    def __init__(self, shared: Shared | None) -> None:
        self._shared: Final = shared
        self._opened: Final[dict[Resource[Any], Any]] = {}
        self._to_close: Final[list[AbstractAsyncContextManager[Any]]] = []

    async def value_of(self, resource: Resource[Any]) -> Any:
        """Return what `resource` yields, opened now if need be."""
        if resource not in self._opened:
            if self._shared is not None and resource.scope is ResourceScope.APP:
                value = await self._shared.get(resource)
            else:
                dependencies = {name: await self.value_of(one) for name, one in resource.dependencies.items()}
                manager = resource.open(**dependencies)
                value = await manager.__aenter__()
                self._to_close.append(manager)
            self._opened[resource] = value
        return self._opened[resource]

    async def close(self, failure: BaseException | None) -> BaseException | None:
        """Close what was opened, the last one first, whatever any of them raises; return what the attempt has failed with.

        Not by an `AsyncExitStack`: that writes to the exceptions, and leaves the rest open when one of them refuses.
        """
        while self._to_close:
            manager = self._to_close.pop()
            try:
                if failure is None:
                    await manager.__aexit__(None, None, None)
                else:
                    await manager.__aexit__(type(failure), failure, traceback_of(failure))
            except BaseException as error:  # noqa: BLE001  as in any `async with`: from here on this one counts
                failure = error
        return failure


def with_resources(function: Function, shared: Shared | None) -> Drive:
    """Return what runs a body of `function` with its resources; without `shared`, every one is per invocation."""

    async def drive(record: Record) -> Any:
        value: Any = None
        failure: BaseException | None = None
        injector = Injector(shared)
        try:
            try:
                given = given_in(record._values)
                injected = {
                    name: given[name] if name in given else await injector.value_of(resource)
                    for name, resource in function.injected.items()
                }
                value = await run_body(record, injected)
            except BaseException as error:  # noqa: BLE001  raised below, by whatever name closing gives it
                failure = error
            failure = await injector.close(failure)
            if failure is not None:
                raise failure
            return value
        finally:
            del record, failure, injector, value

    return drive
