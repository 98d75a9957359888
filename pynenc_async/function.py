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
from collections.abc import Callable
from enum import StrEnum
from functools import cached_property, partial
from typing import Any, Final

import msgspec

from pynenc_async.codec import decoder_for
from pynenc_async.errors import TaskDefinitionError

Values = tuple[Any, ...]
"""Bound argument values, one per parameter."""

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
        self.parameters: Final = tuple(self.signature.parameters.values())
        self.names: Final = tuple(parameter.name for parameter in self.parameters)
        plain = all(parameter.kind in (_P.POSITIONAL_ONLY, _P.POSITIONAL_OR_KEYWORD) for parameter in self.parameters)
        self.arity: Final = len(self.parameters) if plain else -1
        """How many positional arguments are the bound values as they stand; -1 where binding is always needed."""
        self.bind: Final[Callable[..., Values]] = _compile_binder(self.parameters, self.qualname)
        self.call: Final[Callable[..., Any]] = func if plain else _compile_caller(func, self.parameters)
        """Takes the bound values, spread: `call(*values)`."""

    @property
    def nested(self) -> bool:
        """Whether the function lives in another one, where no other process can find it by name."""
        return "<locals>" in self.qualname

    @cached_property
    def annotations(self) -> dict[str, Any]:
        """Resolved annotations by parameter name and `return`; what cannot be resolved is left out."""
        raw = inspect.get_annotations(inspect.unwrap(self.func))
        return {name: found for name, hint in raw.items() if (found := self._resolve(name, hint)) is not _UNRESOLVED}

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

    def _resolve(self, name: str, hint: object) -> Any:
        if not isinstance(hint, str):
            return hint
        holder = type(name, (), {"__annotations__": {name: hint}, "__module__": self.module})
        try:
            return typing.get_type_hints(
                holder, globalns=getattr(inspect.unwrap(self.func), "__globals__", {}), include_extras=True
            )[name]
        except Exception:  # noqa: BLE001  a hint is arbitrary code; without it values decode to plain JSON types
            return _UNRESOLVED


_UNRESOLVED: Final = object()
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


def _compile_binder(parameters: tuple[inspect.Parameter, ...], qualname: str) -> Callable[..., Values]:
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
        declared.append(f"{prefix}{parameter.name}{default}")
        if parameter.kind is _P.POSITIONAL_ONLY and _P.POSITIONAL_ONLY not in kinds[index + 1 :]:
            declared.append("/")
    returned = "".join(f"{parameter.name}, " for parameter in parameters)
    binder = _evaluate(
        f"lambda {', '.join(declared)}: ({returned})", _defaults_=[parameter.default for parameter in parameters]
    )
    binder.__name__, binder.__qualname__ = qualname.rpartition(".")[2], qualname
    return binder


def _compile_caller(func: Callable[..., Any], parameters: tuple[inspect.Parameter, ...]) -> Callable[..., Any]:
    """Return `lambda v0, v1, ...: func(v0, *v1, name=v2, **v3)`: spreads bound values back into a call."""
    forms = {
        _P.POSITIONAL_ONLY: "v{0}",
        _P.POSITIONAL_OR_KEYWORD: "v{0}",
        _P.VAR_POSITIONAL: "*v{0}",
        _P.KEYWORD_ONLY: "{1}=v{0}",
        _P.VAR_KEYWORD: "**v{0}",
    }
    declared = ", ".join(f"v{index}" for index in range(len(parameters)))
    passed = ", ".join(forms[one.kind].format(index, one.name) for index, one in enumerate(parameters))
    return _evaluate(f"lambda {declared}: _func_({passed})", _func_=func)


def _evaluate(source: str, **names: object) -> Callable[..., Any]:
    """Compile a lambda whose source consists of identifiers taken from a signature that Python itself has accepted."""
    return eval(source, names)  # type: ignore[no-any-return]  # noqa: S307
