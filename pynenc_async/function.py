"""What a task runs: a Python function, and all that is worth knowing of it before it is called."""

import inspect
import sys
import types
import typing
from collections.abc import Callable, Coroutine
from enum import StrEnum
from functools import cached_property, partial
from typing import Any, Final

import msgspec

from pynenc_async.binder import compile_binder, compile_caller
from pynenc_async.codec import Wire, decoder_for
from pynenc_async.errors import SerializationError, TaskDefinitionError
from pynenc_async.hints import evaluate_hint, show_hint
from pynenc_async.modules import real_module
from pynenc_async.resource import injected_parameters

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

    def __init__(self, func: Callable[..., Any], name: str | None = None, aliases: tuple[str, ...] = ()) -> None:
        """Look a function up and down. `name` stands in place of those of its module and itself in the id of the task."""
        if isinstance(func, staticmethod):
            func = func.__func__
        self.func: Final[Callable[..., Any]] = func
        self.module: Final = str(getattr(func, "__module__", None) or "__main__")
        self.module_spec: Final = getattr(sys.modules.get(self.module), "__spec__", None)
        """A new one each time the module is loaded."""
        self.qualname: Final = str(getattr(func, "__qualname__", None) or type(func).__qualname__)
        namespace = getattr(inspect.unwrap(func), "__globals__", None)
        self.home: Final = real_module(self.module, namespace)
        """The name under which other processes import its module."""
        self.task_id: Final = f"{self.home}.{self.qualname}" if name is None else name
        self.ids: Final = tuple(dict.fromkeys((self.task_id, *aliases)))
        """The id, and those that it had before: under which work may be stored."""
        self.kind: Final = _kind_of(func, self.task_id)
        self.signature: Final = _signature_of(func, self.task_id)
        everything = tuple(self.signature.parameters.values())
        self.injected: Final = injected_parameters(self.task_id, func, self.signature, TaskDefinitionError)
        """The resources that its parameters ask for; those are no arguments of its calls."""
        self.parameters: Final = tuple(one for one in everything if one.name not in self.injected)
        self.names: Final = tuple(parameter.name for parameter in self.parameters)
        positional = all(one.kind in (_P.POSITIONAL_ONLY, _P.POSITIONAL_OR_KEYWORD) for one in self.parameters)
        self.arity: Final = len(self.parameters) if positional else -1
        """How many positional arguments are the bound values as they stand; -1 where binding is always needed."""
        self.bind: Final = compile_binder(everything, self.qualname, injected=tuple(self.injected))
        self.call: Final = func if positional and not self.injected else compile_caller(func, everything, self.injected)
        """Takes the bound values, spread, and what is injected: `call(*values, **injected)`."""
        self.generator: Final = _generator_in(func)
        """The code of the generator function that a `def` wraps: its generator is no result, for nothing of it has run."""
        self.drive: Drive | None = None
        """What runs a body in place of a mere call, if anything surrounds it: middleware, resources."""
        self.is_plain = self.kind is FunctionKind.COROUTINE
        """Whether a body is a mere call, whose coroutine is awaited."""

    def surround(self, drive: Drive | None) -> None:
        """Run bodies that begin from now on by `drive`; None: by a mere call."""
        self.drive = drive
        self.is_plain = drive is None and self.kind is FunctionKind.COROUTINE

    @property
    def is_method(self) -> bool:
        """Whether it is a function of a class that expects an object, or the class, which nobody would pass."""
        in_class = self.qualname.rpartition(".")[0].rpartition(".")[2] not in ("", "<locals>")
        first = next(iter(self.signature.parameters), None)
        return in_class and inspect.isfunction(self.func) and first in ("self", "cls")

    def require_readable(self) -> None:
        """Raise `TaskDefinitionError` for an annotation of which no value can be decoded; one that is not known yet is left."""
        for name in (*self.names, "return"):
            try:
                wire = self._wire_of(name)
            except SerializationError:
                continue  # it names what is not defined yet, where its task is
            try:
                wire.decoder(name)
            except SerializationError as error:
                whose = "return value" if name == "return" else f"parameter {name!r}"
                raise TaskDefinitionError(
                    self.task_id,
                    f"its {whose} goes through JSON, where {error.problem}",
                    "or let it run in memory, in the loop or in a thread",
                ) from None

    def _wire_of(self, name: str) -> Wire:
        """Return how values of a parameter, or of `return`, are encoded; raises `SerializationError` like `annotation`."""
        if name != "return":
            return Wire(self._value_annotation(name))
        return self.item_wire if self.kind is FunctionKind.STREAM else self.result_wire

    @property
    def nested(self) -> bool:
        """Whether the function lives in another one, where no other process can find it by name."""
        return "<locals>" in self.qualname

    def annotation(self, name: str) -> Any:
        """Return the annotation of a parameter, or of `return`; `Any` where there is none.

        Raises `SerializationError` for one that cannot be resolved: what is encoded would come back as something else.
        """
        parameter = self.signature.parameters.get(name)
        hint = self.signature.return_annotation if parameter is None else parameter.annotation
        if hint is _P.empty:
            return Any
        try:
            found = evaluate_hint(self.func, name, hint)
            # `x: int = None` is no annotation for a type checker any more, and still what many write.
            return typing.Optional[found] if parameter is not None and parameter.default is None else found  # noqa: UP045
        except Exception as error:
            raise self._unresolved(name, hint, error) from error

    def _unresolved(self, name: str, hint: object, error: Exception) -> SerializationError:
        field = "result" if name == "return" else f"arguments.{name}"
        return SerializationError(
            field,
            f"its annotation {show_hint(hint)} in task {self.task_id} cannot be resolved ({error}), so that nobody could tell "
            f"what to make of its JSON; define or import what it names at the level of {self.module}, and not only under "
            "`if TYPE_CHECKING:`",
        )

    def _value_annotation(self, name: str) -> Any:
        """The type of the bound value of a parameter: `*args: int` binds a `tuple[int, ...]`."""
        hint = self.annotation(name)
        kind = self.signature.parameters[name].kind
        if kind in (_P.VAR_POSITIONAL, _P.VAR_KEYWORD) and typing.get_origin(hint) is typing.Unpack:
            return typing.get_args(hint)[0]  # of all of them together
        if kind is _P.VAR_POSITIONAL:
            return types.GenericAlias(tuple, (hint, ...))
        return types.GenericAlias(dict, (str, hint)) if kind is _P.VAR_KEYWORD else hint

    @cached_property
    def wires(self) -> tuple[Wire, ...]:
        """How the values of a call are encoded, one for each parameter; raises `SerializationError` like `annotation`."""
        return tuple([self._wire_of(name) for name in self.names])

    @cached_property
    def plain_kinds(self) -> tuple[frozenset[type], ...]:
        """For each parameter, the exact types of which msgspec alone writes all values so that they come back."""
        return tuple([wire.kinds for wire in self.wires])

    @cached_property
    def result_wire(self) -> Wire:
        """How a result is encoded; raises `SerializationError` likewise. What an async generator returns is None."""
        annotation = None if self.kind is FunctionKind.STREAM else self.annotation("return")
        return Wire(annotation, lists_for_tuples=self._returns_anything)

    @cached_property
    def item_wire(self) -> Wire:
        """How one item of an async generator is encoded, as its items are annotated; raises `SerializationError` likewise."""
        items = typing.get_args(self.annotation("return"))
        return Wire(items[0] if items else Any, lists_for_tuples=self._returns_anything)

    @property
    def _returns_anything(self) -> bool:
        """Whether nothing is said of results: not even that work was done in vain, because it gave a tuple."""
        return self.signature.return_annotation is _P.empty

    @cached_property
    def values_type(self) -> type[msgspec.Struct]:
        """A struct with one field per parameter, in order of declaration, as their annotations type them."""
        # Fields have names of their own: a parameter may be called anything, a field of a struct may not.
        # Values of this type live for one call: the collector need not know them (gc=False).
        fields = [(f"v{index}", wire.annotation) for index, wire in enumerate(self.wires)]
        rename = {f"v{index}": name for index, name in enumerate(self.names)}
        return msgspec.defstruct(self.qualname, fields, rename=rename, forbid_unknown_fields=True, gc=False)

    @cached_property
    def arguments_decoder(self) -> msgspec.json.Decoder[Any]:
        """Decodes the arguments of a call to `values_type`; raises `SerializationError` where an annotation forbids it."""
        for name, wire in zip(self.names, self.wires, strict=True):
            wire.decoder(f"arguments.{name}")  # which says which of them it is
        return decoder_for(self.values_type, "arguments")

    @cached_property
    def stored_arguments_decoder(self) -> msgspec.json.Decoder[Any]:
        """The same for what an earlier release may have stored: a parameter that is new since then has its default."""
        fields = [
            (f"v{index}", wire.annotation, self._field(name))
            for index, (name, wire) in enumerate(zip(self.names, self.wires, strict=True))
        ]
        known = msgspec.defstruct(self.qualname, fields, kw_only=True, forbid_unknown_fields=True, gc=False)
        return decoder_for(known, "arguments")

    def _field(self, name: str) -> Any:
        parameter = self.signature.parameters[name]
        if parameter.kind is _P.VAR_POSITIONAL:
            return msgspec.field(default_factory=tuple[Any, ...], name=name)
        if parameter.kind is _P.VAR_KEYWORD:
            return msgspec.field(default_factory=dict[str, Any], name=name)
        default = parameter.default
        return (
            msgspec.field(name=name)
            if default is _P.empty
            else msgspec.field(default_factory=lambda: default, name=name)
        )

    @cached_property
    def result_decoder(self) -> msgspec.json.Decoder[Any]:
        """Decodes a result to the annotation of the return value; raises `SerializationError` likewise."""
        return self.result_wire.decoder("result")

    @cached_property
    def item_decoder(self) -> msgspec.json.Decoder[Any]:
        """Decodes one item of an async generator to the annotation of its items; raises `SerializationError` likewise."""
        return self.item_wire.decoder("item")


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
    inner = _innermost(func)
    if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
        raise TaskDefinitionError(
            task_id,
            "is a plain def around an async one: nobody would await what it returns",
            "let the decorator return an `async def`, as by `return await function(...)`; one that runs the coroutine by "
            "itself, as by asyncio.run, deletes its `__wrapped__`",
        )
    if inspect.isgeneratorfunction(func) or inspect.isgeneratorfunction(call):
        raise TaskDefinitionError(
            task_id, "is a generator", "make it `async def` with `yield` to stream items, or return a list"
        )
    return FunctionKind.THREAD


def _innermost(func: Any) -> Any:
    """Return the function that is left when decorators and partials are taken off."""
    try:
        inner = inspect.unwrap(func)
    except ValueError:  # it wraps itself
        return func
    return _innermost(inner.func) if isinstance(inner, partial) else inner


def _generator_in(func: Any) -> types.CodeType | None:
    inner = _innermost(func)
    return inner.__code__ if inspect.isgeneratorfunction(inner) and inspect.isfunction(inner) else None


def _signature_of(func: Callable[..., Any], task_id: str) -> inspect.Signature:
    try:
        return inspect.signature(func)
    except ValueError as error:
        raise TaskDefinitionError(task_id, f"has no signature ({error})", "wrap it in a function of your own") from None
