"""Arguments: the bound, normalised values of a call. Positional, keyword and default spellings of one call are equal."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final, Self, cast

import msgspec

from pynenc_async.codec import Wire, decode_with, encode, encode_at_once, read_back, refuse_loss, refuse_null
from pynenc_async.errors import SerializationError
from pynenc_async.function import Function, FunctionKind, Values
from pynenc_async.printable import printable
from pynenc_async.user_errors import name_of

NO_ARGS: Final = "no_args"
COMPARED_BY_VALUE: Final = frozenset({int, str, bool, bytes, type(None)})
"""Not float: 0.0 == -0.0, and they are spelled differently."""
_COMPARED_AT_ONCE: Final = COMPARED_BY_VALUE | {float}
"""The kinds of which unequal values are spelled differently; equal ones, like 0.0 and -0.0, may be, too."""
_ARRAYS: Final = frozenset({list, tuple})
_ITSELF: Final = object()
_SIZED: Final = frozenset({list, tuple, set, frozenset, dict})
"""The kinds of which those of different sizes are spelled differently."""
_DEEPEST: Final = 8
"""How deep values are compared before they are encoded."""
_LONGEST_SHOWN: Final = 60


class Arguments:
    """The values for one call of one function. Nothing is serialized or hashed until it is asked for."""

    def __init__(self, function: Function, values: Values) -> None:
        self._function: Final = function
        self.values: Final = values
        """One value per parameter, in order of declaration."""

    @classmethod
    def bind(cls, function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Self:
        """Bind a call; raise the function's own `TypeError` where the arguments do not fit."""
        return cls(function, function.bind(*args, **kwargs))

    def values_for(self, function: Function) -> Values:
        """Return the values for a call of `function`; raise `TypeError` when they were bound to another one."""
        if self._function.func is not function.func:
            raise TypeError(f"these are arguments of {self._function.task_id}, not of {function.task_id}")
        return self.values

    @property
    def kwargs(self) -> dict[str, Any]:
        """The values by parameter name."""
        return dict(zip(self._function.names, self.values, strict=True))

    @cached_property
    def serialized(self) -> dict[str, str]:
        """The JSON text of each value by parameter name; raises `SerializationError` naming the parameter."""
        return {name: encode(value, field=f"arguments.{name}").decode() for name, value in self.kwargs.items()}

    @cached_property
    def args_id(self) -> str:
        """The SHA-256 of the serialized arguments, or `no_args`: the same in every process and Python version."""
        if not self.values:
            return NO_ARGS
        joined = ",".join(f'"{name}":{text}' for name, text in sorted(self.serialized.items()))
        return hashlib.sha256(f"{{{joined}}}".encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Arguments):
            return NotImplemented
        return self._function is other._function and same_values(self.values, other.values)

    def __hash__(self) -> int:
        return hash(self.args_id)

    def __repr__(self) -> str:
        return f"Arguments({', '.join(f'{name}={show(value)}' for name, value in self.kwargs.items())})"


def encode_values(function: Function, values: Values) -> bytes:
    """Return the arguments of a call as a JSON object.

    Raise `SerializationError`, naming task and parameter, for what the body would not be given as it is here.
    """
    plain_kinds = function.plain_kinds
    try:
        index = 0
        for kinds in plain_kinds:  # not by `zip` or `enumerate`, which take longer than all of the loop
            if type(values[index]) not in kinds:
                return _encode_carefully(function, values)
            index += 1  # noqa: SIM113
        try:
            return _encode_plain(function.values_type(*values))
        except (ValueError, OverflowError):  # msgspec cannot say which value it choked on
            return _encode_carefully(function, values)
    except SerializationError as error:
        raise SerializationError(error.field, f"{error.problem} (task {function.task_id})") from error


def require_encodable(function: Function, values: Values, *, items: bool) -> None:
    """Raise `SerializationError` for arguments that the body would not be given as they are here.

    Raise it, too, where nobody could tell what to make of the result (with `items`, of what a generator yields): then the
    work would be in vain.
    """
    if function.names:
        encode_values(function, values)
    _ = function.item_wire if items and function.kind is FunctionKind.STREAM else function.result_wire


def _encode_carefully(function: Function, values: Values) -> bytes:
    names = function.names
    named = dict(zip(names, values, strict=True))
    data = encode_at_once(named, field="arguments")
    if all(map(_fits, function.wires, values)):
        refuse_null(named, data, field="arguments")
        return data
    back = _as_tuple(read_back(function.arguments_decoder, data, "arguments"))
    for name, value, arrived in zip(names, values, back, strict=True):
        refuse_loss(value, arrived, f"arguments.{name}")
    return data


def _fits(wire: Wire, value: object) -> bool:
    return type(value) in wire.kinds or wire.fits(value)


def decode_values(function: Function, raw: bytes | msgspec.Raw) -> Values:
    """Decode a JSON object to the annotations of the function; raise `SerializationError` naming the parameter."""
    values: Values = _as_tuple(decode_with(function.arguments_decoder, raw, "arguments"))
    return values


def decode_stored_values(function: Function, raw: bytes) -> Values:
    """The same for what an earlier release of the function may have stored: see `Function.stored_arguments_decoder`."""
    values: Values = _as_tuple(decode_with(function.stored_arguments_decoder, raw, "arguments"))
    return values


_as_tuple: Final = msgspec.structs.astuple
_encode_plain: Final = msgspec.json.Encoder().encode


def same_values(left: Values, right: Values) -> bool:
    """Whether two bound sets of values make the same `call_id`, without computing it where a glance is enough."""
    if left is right:
        return True
    unclear: list[tuple[object, object]] = []
    for one, other in zip(left, right, strict=True):
        if one is not other:
            if type(one) not in COMPARED_BY_VALUE:
                unclear.append((one, other))
            elif type(one) is not type(other) or one != other:
                return False
    return all(_same_encoding(one, other) for one, other in unclear)


def comparable(values: Values) -> tuple[Any, ...]:
    """Return a hashable stand-in for `values`: those that make the same `call_id` are equal, 1 and "1" and True are not.

    A value that cannot be encoded stands for itself.
    """
    return tuple([value if type(value) is str else comparable_value(value) for value in values])


def comparable_value(value: object) -> Any:
    """Return a hashable stand-in for one value. Strings and integers, which no other stand-in equals, are their own."""
    kind = type(value)
    if kind is str or kind is int:
        return value
    if kind in COMPARED_BY_VALUE:
        return kind, value
    try:
        return encode(value, field="argument")
    except BaseException:  # noqa: BLE001  code of its class runs here, and a key is asked for again when a permit is given back
        return _ITSELF, id(value)


def glance(values: Values) -> tuple[object, ...]:
    """Return a hashable value, made without a look inside the values: those that make the same `call_id` have the same."""
    return tuple([_glance(value) for value in values])


def _glance(value: object) -> object:
    kind = type(value)
    if kind in COMPARED_BY_VALUE:
        return kind, value
    return len(value) if kind in _SIZED else None  # type: ignore[arg-type]


def _surely_differ(one: object, other: object, depth: int = 0) -> bool:
    """Return whether two values are encoded differently, as far as that is found out without encoding them.

    Ends at the first difference, so that recursions over large data do not pay for the data at each call.
    """
    kind, other_kind = type(one), type(other)
    if kind in _COMPARED_AT_ONCE and other_kind in _COMPARED_AT_ONCE:
        return kind is not other_kind or one != other
    if kind in _ARRAYS and other_kind in _ARRAYS:
        return len(one) != len(other) or (  # type: ignore[arg-type]
            depth < _DEEPEST and any(_surely_differ(a, b, depth + 1) for a, b in zip(one, other, strict=True))  # type: ignore[call-overload]
        )
    if kind in _SIZED and other_kind in _SIZED and len(one) != len(other):  # type: ignore[arg-type]
        return True
    if kind is not other_kind or depth >= _DEEPEST:
        return False
    if kind is dict:
        left, right = cast("dict[object, object]", one), cast("dict[object, object]", other)
        return any(key in right and _surely_differ(value, right[key], depth + 1) for key, value in left.items())
    names = cast("Iterable[str]", getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", ()))
    return any(_surely_differ(getattr(one, name), getattr(other, name), depth + 1) for name in names)


def _same_encoding(one: object, other: object) -> bool:
    if _surely_differ(one, other):
        return False
    try:
        return encode(one, field="argument") == encode(other, field="argument")
    except SerializationError:
        return False


def show(value: object) -> str:
    """Return a short `repr`, whatever the value's own does."""
    try:
        text = printable(str.__str__(repr(value)))  # a plain text, whatever class of texts it is
    except BaseException:  # noqa: BLE001  a handle must be printable whatever was passed
        text = f"<{name_of(value)} without a repr>"
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
