"""Encoding in Python: slower than msgspec, but each failure has a path, and neither NaN, sets nor keys get past."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from copy import copy
from enum import Enum
from typing import Any, Final, cast

import msgspec

from pynenc_async.codec.models import is_model
from pynenc_async.errors import USER_CODE_RAISES, SerializationError

DEPTH_PROBLEM: Final = "nested too deeply, or contains itself; flatten it"
PLAIN: Final = frozenset({type(None), bool, int, str, bytes})
"""Exact types that msgspec alone writes as `CarefulEncoder` does: they hide no NaN and no set."""
_ENCODE_FIX: Final = "return or pass plain data, a dataclass or a msgspec.Struct instead"
_encode_with_any_key: Final = msgspec.json.Encoder().encode


class CarefulEncoder:
    """Encodes what has to be looked at, piece by piece."""

    def __init__(
        self, encode: Callable[[object], bytes], model_data: Callable[[object], Any], *, in_order: bool
    ) -> None:
        self._encode: Final = encode
        """Encodes a leaf, and an object whose fields are encoded already."""
        self._model_data: Final = model_data
        self._in_order: Final = in_order
        """Whether dicts keep the order of their keys; else they are sorted."""

    def encode(self, value: object, field: str) -> bytes:
        """Return `value` as JSON; raise `SerializationError` with the path below `field` of what JSON cannot carry."""
        try:
            return self._any(value, field)
        except SerializationError:
            raise
        except RecursionError as error:
            raise SerializationError(field, DEPTH_PROBLEM) from error
        except (
            USER_CODE_RAISES
        ) as error:  # raised by user code while it was read: a property, an iterator, a serializer
            raise SerializationError(field, f"cannot be read: {error!r}; {_ENCODE_FIX}") from error

    def _any(self, value: object, path: str) -> bytes:
        if isinstance(value, dict):
            return self._dict(cast("dict[object, object]", value), path)
        if isinstance(value, (list, tuple)):
            items = enumerate(cast("Iterable[object]", value))
            return _array([self._any(item, f"{path}[{index}]") for index, item in items])
        if isinstance(value, (set, frozenset)):
            # By their text: the only order that all elements of any type have, and the same in every process.
            return _array(sorted(self._any(item, f"{path}[...]") for item in cast("Iterable[object]", value)))
        if names := field_names(value):
            return self._fields(value, names, path)
        if is_model(type(value)):
            data = self._any(self._read(self._model_data, value, path), path)
            self._read(self._encode, value, path)  # which may have something against it
            return data
        return self._leaf(value, path)

    def _dict(self, value: dict[object, object], path: str) -> bytes:
        members: dict[bytes, bytes] = {}
        for key, item in value.items():
            name = _key(key, path)
            if name in members:
                raise SerializationError(path, f"two keys are spelled {name.decode()} in JSON; use keys of one type")
            members[name] = self._any(item, _member_path(path, key))
        pairs = members.items() if self._in_order else sorted(members.items())
        return b"{" + b",".join(b"%b:%b" % member for member in pairs) + b"}"

    def _fields(self, value: object, names: Iterable[str], path: str) -> bytes:
        """Encode a copy whose fields are encoded already: renaming, tags and array-likes stay msgspec's business."""
        encoded = copy(value)
        put: Any = msgspec.structs.force_setattr if isinstance(value, msgspec.Struct) else object.__setattr__
        for name in names:
            put(encoded, name, msgspec.Raw(self._any(getattr(value, name), f"{path}.{name}")))
        return self._encode(encoded)

    def _leaf(self, value: object, path: str) -> bytes:
        data: bytes = self._read(self._encode, value, path)
        if data == b"null" and value is not None:
            raise SerializationError(
                path, f"cannot encode {value!r}: JSON has no such number; use None or text instead"
            )
        return data

    @staticmethod
    def _read(read: Callable[[object], Any], value: object, path: str) -> Any:
        try:
            return read(value)
        except SerializationError as error:  # of a model that keeps what it does not write
            raise SerializationError(path + error.field, error.problem) from error
        except USER_CODE_RAISES as error:
            raise SerializationError(path, _problem("object", value, error, _ENCODE_FIX)) from error


def _array(items: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def _member_path(path: str, key: object) -> str:
    return f"{path}.{key}" if isinstance(key, str) and key.isidentifier() else f"{path}[{key!r}]"


def _key(key: object, path: str) -> bytes:
    if isinstance(key, float) and not math.isfinite(key):
        raise SerializationError(path, f"cannot encode the key {key!r}: JSON has no such number; use a finite one")
    try:
        # msgspec knows how to spell a key (older versions not that of an Enum): take it from an object with no other.
        key = cast("object", key.value) if isinstance(key, Enum) else key
        return _encode_with_any_key({key: None}).removeprefix(b"{").removesuffix(b":null}")
    except USER_CODE_RAISES as error:
        raise SerializationError(path, _problem("dict key", key, error, "use text or numbers as keys")) from error


def _problem(what: str, value: object, error: BaseException, fix: str) -> str:
    # Both say "unsupported", which repeats the type; whatever else it was is worth reading.
    reason = "" if isinstance(error, (TypeError, NotImplementedError)) else f" ({error})"
    return f"cannot encode {what} of type {type(value).__qualname__}{reason}; {fix}"


def field_names(value: object) -> list[str]:
    """Return the fields of a Struct, a dataclass or an attrs object that are set; nothing for any other value."""
    kind: Any = type(value)
    names: list[str] = [*getattr(kind, "__struct_fields__", ())]
    if dataclasses.is_dataclass(kind):
        names += [field.name for field in dataclasses.fields(kind)]
    # msgspec leaves out the private fields of attrs objects.
    names += [field.name for field in getattr(kind, "__attrs_attrs__", ()) if not field.name.startswith("_")]
    return [name for name in names if getattr(value, name, msgspec.UNSET) is not msgspec.UNSET]
