"""Resources: what bodies are given without being passed it, and how a parameter asks for one.

A resource is an `async def` with one `yield`: what stands before it opens, what it yields is injected, what stands after it
closes. A parameter asks for one by its default, or by its annotation:

    async def report(user: str, db: Database = inject(database)) -> int: ...
    async def report(user: str, db: Annotated[Database, database] = inject()) -> int: ...

Without a default type checkers want callers to pass it. A resource may ask for others in the same way. It asks for what
is defined already, so nothing can depend on itself, over whatever detour.
"""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from types import TracebackType
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, cast, final, get_args, get_origin, overload

from pynenc_async.errors import PynencError, ResourceError
from pynenc_async.hints import UNRESOLVED, resolve_hint
from pynenc_async.user_errors import is_translation, put_traceback

T = TypeVar("T")
Made_co = TypeVar("Made_co", covariant=True)
Factory = Callable[..., AsyncIterator[Made_co]] | Callable[..., AbstractAsyncContextManager[Made_co]]
Refusal = Callable[[str, str, str], PynencError]
"""Makes the error from the name of what is being defined, what is wrong with it, and what to do."""

_P = inspect.Parameter


class ResourceScope(StrEnum):
    """For how long what a resource yields is shared."""

    APP = "app"
    """Opened at its first use, shared by all bodies, closed when the app is shut down."""
    INVOCATION = "invocation"
    """Opened for each attempt of an invocation, closed after it."""


@final
class Resource(Generic[Made_co]):
    """Made by `@app.resource`; see `pynenc_async.resource`."""

    def __init__(self, factory: Factory[Made_co], scope: ResourceScope, owner: object) -> None:
        self.name: Final = f"{getattr(factory, '__module__', None)}.{getattr(factory, '__qualname__', repr(factory))}"
        self.scope: Final = scope
        self.owner: Final = owner
        """The app, or whatever it is, whose bodies are given it."""
        self._open: Final = _as_context_manager(self.name, factory)
        self.__doc__ = factory.__doc__
        self.dependencies: Final = self._dependencies(factory)
        """The resources that it asks for, by parameter."""

    def open(self, **dependencies: Any) -> AbstractAsyncContextManager[Made_co]:
        """Open it for an `async with`, whatever its scope, given what it depends on."""
        return self._open(**dependencies)

    def _dependencies(self, factory: Any) -> "dict[str, Resource[Any]]":
        signature = inspect.signature(factory)
        found = injected_parameters(self.name, factory, signature, ResourceError)
        for name in signature.parameters:
            if name not in found:
                raise ResourceError(
                    self.name,
                    f"its parameter {name!r} asks for no resource that is defined yet",
                    f"define what it depends on first, and write {name}: Annotated[..., the_resource]; "
                    "resources cannot depend on each other in a circle",
                )
        for name, resource in found.items():
            self._check(name, resource)
        return found

    def _check(self, name: str, resource: "Resource[Any]") -> None:
        refuse_foreign(self.name, resource, self.owner, ResourceError)
        if self.scope is ResourceScope.APP and resource.scope is ResourceScope.INVOCATION:
            raise ResourceError(
                self.name,
                f"lives as long as the app, and its parameter {name!r} only as long as an invocation",
                f'make {resource.name} scope="app", too, or this one scope="invocation"',
            )

    def __repr__(self) -> str:
        return f"<Resource {self.name} per {self.scope}>"


ScopeName = ResourceScope | Literal["app", "invocation"]


@final
class ResourceDecorator:
    """What `@app.resource(...)` with a scope returns: it decorates one async generator function."""

    def __init__(self, define: Callable[[Any, ResourceScope], Resource[Any]], scope: ResourceScope) -> None:
        self._define: Final = define
        self._scope: Final = scope

    def __call__(self, factory: Factory[T], /) -> Resource[T]:
        """Define the resource."""
        return self._define(factory, self._scope)


class Marker:
    """The default of a parameter that is injected, at run time."""

    __slots__ = ("resource",)

    def __init__(self, resource: Resource[Any] | None) -> None:
        self.resource: Final = resource

    def __repr__(self) -> str:
        return f"inject({'' if self.resource is None else self.resource.name})"


@overload
def inject() -> Any: ...
@overload
def inject(resource: Resource[T], /) -> T: ...


def inject(resource: Resource[Any] | None = None, /) -> Any:
    """Return the default of a parameter that is given the resource, or the one that its `Annotated[...]` names.

    The parameter is no argument of the call: it is in no `Arguments`, no `call_id`, no JSON. A test may pass it.
    """
    return Marker(resource)


NOT_GIVEN: Final[Any] = object()
"""The bound value of an injected parameter that the caller did not pass."""


class OverriddenValues(tuple[Any, ...]):  # noqa: SLOT001  a tuple cannot have more slots
    """Bound values of a call that passes what would be injected."""

    given: Mapping[str, Any]

    @classmethod
    def of(cls, values: tuple[Any, ...], given: Mapping[str, Any]) -> "OverriddenValues":
        """Return `values`, and beside them what was `given` for injected parameters."""
        made = cls(values)
        made.given = given
        return made


def given_in(values: tuple[Any, ...]) -> Mapping[str, Any]:
    """Return what the caller passed for injected parameters."""
    return values.given if isinstance(values, OverriddenValues) else {}


def refuse_foreign(name: str, resource: Resource[Any], owner: object, refusal: Refusal) -> None:
    """Raise if `resource` is another app's: that one would open and close it."""
    if resource.owner is not owner:
        raise refusal(name, f"asks for {resource.name}, which belongs to another app", "define it with its own app")


# -- finding them ------------------------------------------------------------------------------------------------------


def injected_parameters(
    name: str, func: Callable[..., Any], signature: inspect.Signature, refusal: Refusal
) -> dict[str, Resource[Any]]:
    """Return the resources that the parameters of `func` ask for; raise what `refusal` makes where they cannot."""
    found: dict[str, Resource[Any]] = {}
    for parameter in signature.parameters.values():
        resource = _resource_of(name, func, parameter, refusal)
        if resource is not None:
            found[parameter.name] = resource
        if found:
            _check_place(name, parameter, parameter.name in found, refusal)
    return found


def _resource_of(
    name: str, func: Callable[..., Any], parameter: inspect.Parameter, refusal: Refusal
) -> Resource[Any] | None:
    marker = parameter.default if isinstance(parameter.default, Marker) else None
    if marker is not None and marker.resource is not None:
        return marker.resource
    named = _named_in(func, parameter)
    if marker is not None and named is None:
        raise refusal(
            name,
            f"its parameter {parameter.name!r} is injected, and neither inject(...) nor its annotation names a resource",
            f"write {parameter.name} = inject(the_resource)",
        )
    return named


def _named_in(func: Callable[..., Any], parameter: inspect.Parameter) -> Resource[Any] | None:
    hint = parameter.annotation
    if isinstance(hint, str):
        # Evaluated only if need be: too early, and it fails for a name that will be there later.
        hint = resolve_hint(func, parameter.name, hint) if "Annotated" in hint else UNRESOLVED
    if get_origin(hint) is not Annotated:
        return None
    for one in get_args(hint)[1:]:
        if isinstance(one, Resource):
            return cast("Resource[Any]", cast(object, one))
    return None


def _check_place(name: str, parameter: inspect.Parameter, injected: bool, refusal: Refusal) -> None:  # noqa: FBT001
    """Injected parameters come last, or are keyword-only: a position means the same with them and without."""
    if injected and parameter.kind not in (_P.POSITIONAL_OR_KEYWORD, _P.KEYWORD_ONLY):
        raise refusal(
            name,
            f"its parameter {parameter.name!r} cannot be injected: it cannot be passed by its name",
            "make it an ordinary parameter",
        )
    if not injected and parameter.kind not in (_P.KEYWORD_ONLY, _P.VAR_KEYWORD):
        raise refusal(
            name,
            f"its parameter {parameter.name!r} stands behind an injected one",
            "put injected parameters last, or make them keyword-only",
        )


class _Opening(AbstractAsyncContextManager[Any]):
    """One use of a resource, as by `contextlib.asynccontextmanager`, which writes to exceptions that may refuse it."""

    def __init__(self, name: str, steps: AsyncGenerator[Any, None]) -> None:
        self._name: Final = name
        self._steps: Final = steps

    async def __aenter__(self) -> Any:
        try:
            return await anext(self._steps)
        except StopAsyncIteration:
            raise self._misuse("yields nothing") from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        try:
            if error is None:
                await anext(self._steps)
            else:
                await self._steps.athrow(error)
        except StopAsyncIteration:
            return error is not None
        except BaseException as raised:
            # Python translates what must not leave a generator as it is: it comes from `error` then, and means the same.
            if error is not None and (raised is error or is_translation(raised, error)):
                put_traceback(error, traceback)  # without our frames
                return False
            raise
        await self._steps.aclose()
        raise self._misuse("yields more than once")

    def _misuse(self, problem: str) -> ResourceError:
        return ResourceError(self._name, problem, "write an async def with one yield")


def _as_context_manager(name: str, factory: Any) -> Callable[..., AbstractAsyncContextManager[Any]]:
    if inspect.isasyncgenfunction(factory):

        def opening(**dependencies: Any) -> AbstractAsyncContextManager[Any]:
            return _Opening(name, factory(**dependencies))

        return opening
    if inspect.isasyncgenfunction(inspect.unwrap(factory)):
        return cast("Callable[..., AbstractAsyncContextManager[Any]]", factory)  # by @asynccontextmanager
    raise ResourceError(name, "is no async generator function", "write an async def with one yield")
