"""Arguments: the bound, normalised values of a call. Positional, keyword and default spellings of one call are equal."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, Self

import msgspec

from pynenc_async.codec import decode, encode
from pynenc_async.function import Function, Values

NO_ARGS: Final = "no_args"


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
        return self._function is other._function and self.values == other.values

    def __hash__(self) -> int:
        return hash(self.args_id)

    def __repr__(self) -> str:
        return f"Arguments({', '.join(f'{name}={value!r}' for name, value in self.kwargs.items())})"


def decode_values(function: Function, raw: bytes | msgspec.Raw) -> Values:
    """Decode a JSON object to the annotations of the function; raise `SerializationError` naming the parameter."""
    values: Values = msgspec.structs.astuple(decode(raw, function.values_type, field="arguments"))
    return values
