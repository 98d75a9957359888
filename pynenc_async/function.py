"""What a task runs: a Python function, with its signature compiled into a binder.

`inspect.Signature.bind` costs more than a whole no-op invocation. A lambda with the same parameters does the same work
at the speed of a call: the interpreter itself matches positional, keyword and default spellings, and raises the same
`TypeError` as the function would. It returns the values as one flat tuple, one value per parameter in order of
declaration (`*args` is a tuple, `**kwargs` a dict): equal calls have equal tuples.
"""

import inspect
import sys
import types
import typing
from collections.abc import Callable, Coroutine
from enum import StrEnum
from functools import cached_property, partial
from typing import Any, Final

import msgspec

from pynenc_async.codec import decoder_for
from pynenc_async.errors import TaskDefinitionError
from pynenc_async.hints import UNRESOLVED, resolve_hint
from pynenc_async.resource import NOT_GIVEN, OverriddenValues, injected_parameters

Values = tuple[Any, ...]
"""Bound argument values, one per parameter."""
Drive = Callable[[Any], Coroutine[Any, Any, Any]]
"""Runs the body of a record, with what surrounds it."""

_P = inspect.Parameter


class FunctionKind(StrEnum):
    """How a body is driven."""

    COROUTINE = "coroutine"
    THREAD = "thread"
    STREAM = "stream"


class Function:
    """A function that can be a task."""

    def __init__(self, func: Callable[..., Any]) -> None:
        if isinstance(func, staticmethod):
            func = func.__func__
        self.func: Final[Callable[..., Any]] = func
        self.module: Final = str(getattr(func, "__module__", None) or "__main__")
        self.module_spec: Final = getattr(sys.modules.get(self.module), "__spec__", None)
        """A new one each time the module is loaded."""
        self.qualname: Final = str(getattr(func, "__qualname__", None) or type(func).__qualname__)
        self.task_id: Final = f"{self.module}.{self.qualname}"
        self.kind: Final = _kind_of(func, self.task_id)
        self.signature: Final = _signature_of(func, self.task_id)
        everything = tuple(self.signature.parameters.values())
        self.injected: Final = injected_parameters(self.task_id, func, self.signature, TaskDefinitionError)
        """The resources that its parameters ask for; those are no arguments of its calls."""
        self.parameters: Final = tuple(one for one in everything if one.name not in self.injected)
        self.names: Final = tuple(parameter.name for parameter in self.parameters)
        plain = all(parameter.kind in (_P.POSITIONAL_ONLY, _P.POSITIONAL_OR_KEYWORD) for parameter in self.parameters)
        self.arity: Final = len(self.parameters) if plain else -1
        """How many positional arguments are the bound values as they stand; -1 where binding is always needed."""
        bind = _compile_binder(everything, self.qualname, tuple(self.injected))
        self.bind: Final[Callable[..., Values]] = _bind_with_injected(bind, self) if self.injected else bind
        has_injected = bool(self.injected)
        plain = plain and not has_injected
        self.call: Final[Callable[..., Any]] = (
            func if plain else _compile_caller(func, self.parameters, injected=has_injected)
        )
        """Takes the bound values, spread, and what is injected: `call(*values, **injected)`."""
        self.drive: Drive | None = None
        """What runs a body in place of a mere call, if anything surrounds it: middleware, resources."""
        self.is_plain = self.kind is FunctionKind.COROUTINE
        """Whether a body is a mere call, whose coroutine is awaited."""

    def surround(self, drive: Drive | None) -> None:
        """Run bodies that begin from now on by `drive`; None: by a mere call."""
        self.drive = drive
        self.is_plain = drive is None and self.kind is FunctionKind.COROUTINE

    @property
    def nested(self) -> bool:
        """Whether the function lives in another one, where no other process can find it by name."""
        return "<locals>" in self.qualname

    @cached_property
    def annotations(self) -> dict[str, Any]:
        """Resolved annotations by parameter name and `return`; what cannot be resolved is left out."""
        raw = inspect.get_annotations(inspect.unwrap(self.func))
        return {
            name: found
            for name, hint in raw.items()
            if (found := resolve_hint(self.func, name, hint)) is not UNRESOLVED
        }

    def value_annotation(self, name: str) -> Any:
        """The type of the bound value of a parameter: `*args: int` binds a `tuple[int, ...]`."""
        hint = self.annotations.get(name, Any)
        kind = self.signature.parameters[name].kind
        if kind is _P.VAR_POSITIONAL:
            return types.GenericAlias(tuple, (hint, ...))
        return types.GenericAlias(dict, (str, hint)) if kind is _P.VAR_KEYWORD else hint

    @cached_property
    def values_type(self) -> type[msgspec.Struct]:
        """A struct with one field per parameter, in order of declaration, as their annotations type them."""
        # Fields have names of their own: a parameter may be called anything, a field of a struct may not.
        # Values of this type live for one call: the collector need not know them (gc=False).
        fields = [(f"v{index}", self.value_annotation(name)) for index, name in enumerate(self.names)]
        rename = {f"v{index}": name for index, name in enumerate(self.names)}
        return msgspec.defstruct(self.qualname, fields, rename=rename, forbid_unknown_fields=True, gc=False)

    @cached_property
    def arguments_decoder(self) -> msgspec.json.Decoder[Any]:
        """Decodes the arguments of a call to `values_type`; raises `SerializationError` where an annotation forbids it."""
        return decoder_for(self.values_type, "arguments")

    @cached_property
    def result_decoder(self) -> msgspec.json.Decoder[Any]:
        """Decodes a result to the annotation of the return value; raises `SerializationError` likewise."""
        return decoder_for(self.annotations.get("return", Any), "result")

    @cached_property
    def item_decoder(self) -> msgspec.json.Decoder[Any]:
        """Decodes one item of an async generator to the annotation of its items; raises `SerializationError` likewise."""
        items = typing.get_args(self.annotations.get("return", Any))
        return decoder_for(items[0] if items else Any, "item")


_PREFIX: Final[dict[object, str]] = {_P.VAR_POSITIONAL: "*", _P.VAR_KEYWORD: "**"}


def _kind_of(func: Any, task_id: str) -> FunctionKind:
    if not callable(func) or isinstance(func, type):
        raise TaskDefinitionError(task_id, "is not a function", "decorate a def, an async def or an async generator")
    while isinstance(func, partial):
        func = func.func
    call = func if inspect.isroutine(func) else type(func).__call__
    if inspect.isasyncgenfunction(func) or inspect.isasyncgenfunction(call):
        return FunctionKind.STREAM
    if inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(call):
        return FunctionKind.COROUTINE
    if inspect.isgeneratorfunction(func) or inspect.isgeneratorfunction(call):
        raise TaskDefinitionError(
            task_id, "is a generator", "make it `async def` with `yield` to stream items, or return a list"
        )
    return FunctionKind.THREAD


def _signature_of(func: Callable[..., Any], task_id: str) -> inspect.Signature:
    try:
        return inspect.signature(func)
    except ValueError as error:
        raise TaskDefinitionError(task_id, f"has no signature ({error})", "wrap it in a function of your own") from None


def _compile_binder(
    parameters: tuple[inspect.Parameter, ...], qualname: str, injected: tuple[str, ...]
) -> Callable[..., Values]:
    """Return what binds arguments; where parameters are injected, it returns the values of those as a second tuple."""
    declared: list[str] = []
    kinds = [parameter.kind for parameter in parameters]
    for index, parameter in enumerate(parameters):
        if (
            parameter.kind is _P.KEYWORD_ONLY
            and _P.VAR_POSITIONAL not in kinds
            and _P.KEYWORD_ONLY not in kinds[:index]
        ):
            declared.append("*")
        prefix = _PREFIX.get(parameter.kind, "")
        default = "" if parameter.default is _P.empty else f"=_defaults_[{index}]"
        if parameter.name in injected:
            default = "=_not_given_"
        declared.append(f"{prefix}{parameter.name}{default}")
        if parameter.kind is _P.POSITIONAL_ONLY and _P.POSITIONAL_ONLY not in kinds[index + 1 :]:
            declared.append("/")
    returned = "".join(f"{parameter.name}, " for parameter in parameters if parameter.name not in injected)
    if injected:
        returned = f"({returned}), ({', '.join(injected)},)"
    binder = _evaluate(
        f"lambda {', '.join(declared)}: ({returned})",
        _defaults_=[parameter.default for parameter in parameters],
        _not_given_=NOT_GIVEN,
    )
    binder.__name__, binder.__qualname__ = qualname.rpartition(".")[2], qualname
    return binder


def _bind_with_injected(bind: Callable[..., Any], function: Function) -> Callable[..., Values]:
    def bind_arguments(*args: Any, **kwargs: Any) -> Values:
        values, passed = bind(*args, **kwargs)
        given = {name: value for name, value in zip(function.injected, passed, strict=True) if value is not NOT_GIVEN}
        return OverriddenValues.of(values, given) if given else values

    return bind_arguments


def _compile_caller(
    func: Callable[..., Any], parameters: tuple[inspect.Parameter, ...], *, injected: bool
) -> Callable[..., Any]:
    """Return `lambda v0, v1, ...: func(v0, *v1, name=v2, **v3)`: spreads bound values back into a call.

    With `injected`, it takes keywords and passes them on.
    """
    forms = {
        _P.POSITIONAL_ONLY: "v{0}",
        _P.POSITIONAL_OR_KEYWORD: "v{0}",
        _P.VAR_POSITIONAL: "*v{0}",
        _P.KEYWORD_ONLY: "{1}=v{0}",
        _P.VAR_KEYWORD: "**v{0}",
    }
    declared = [f"v{index}" for index in range(len(parameters))]
    passed = [forms[one.kind].format(index, one.name) for index, one in enumerate(parameters)]
    if injected:
        declared.append("**injected")
        passed.append("**injected")
    return _evaluate(f"lambda {', '.join(declared)}: _func_({', '.join(passed)})", _func_=func)


def _evaluate(source: str, **names: object) -> Callable[..., Any]:
    """Compile a lambda whose source consists of identifiers taken from a signature that Python itself has accepted."""
    return eval(source, names)  # type: ignore[no-any-return]  # noqa: S307
