"""Values to JSON and back, typed by annotations. No pickle, and no class that is looked up because a payload names it.

Encoding is two-tier. msgspec writes nearly every value alone, in C. It cannot say *where* a value failed, it writes NaN
as `null`, it sorts the elements of a set by `<` (no total order between sets, an error between mixed types), and in
deterministic order it takes no dict key but `str`. The few values that this concerns are written once more, in Python,
by `_encode_carefully`, which knows where it stands. Equal values take the same tier, so the bytes are stable across
processes and Python versions and can be hashed into an identity.

JSON knows fewer types than Python: `(1,)` and `[1]`, `{1: 0}` and `{"1": 0}`, a UUID and its text are spelled alike. It
is the annotation that tells them apart on the way back.
"""

import dataclasses
import inspect
import math
import sys
from collections.abc import Iterable
from copy import copy
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Final, cast

import msgspec

from pynenc_async.errors import SerializationError

_ENCODE_FIX: Final = "return or pass plain data, a dataclass or a msgspec.Struct instead"
_DECODE_FIX: Final = "annotate with plain types, a dataclass, a msgspec.Struct or a pydantic model"
_DEPTH_PROBLEM: Final = "nested too deeply, or contains itself; flatten it"
_LONGEST: Final = 1000
_N: Final = ord("n")
_BRACKET: Final = ord("[")
PLAIN: Final = frozenset({type(None), bool, int, str, bytes})
"""Exact types that msgspec alone writes as `encode` does: they hide no NaN and no set."""
_BASES: Final[dict[type, Any]] = {PurePath: str, str: str, int: int, float: float}
"""What the subclasses of a type are in JSON; msgspec takes exact types only, but numpy.float64 is still a number."""


def encode(value: object, *, field: str) -> bytes:
    """Return `value` as JSON, the same bytes for equal values in every process.

    Raise `SerializationError`, naming the path below `field`, for a value that JSON cannot carry there and back.
    """
    try:
        data = _encode(value)
        if type(value) in PLAIN or not (_is_suspicious(data) and _needs_care(value)):
            return data
    except Exception:  # noqa: BLE001  msgspec's complaint, or whatever user code raised while it was read
        return _encode_carefully(value, field)
    return _encode_carefully(value, field)


def decode(data: bytes | str | msgspec.Raw, annotation: Any, *, field: str) -> Any:
    """Return the value that `data` spells, as `annotation` types it; `Any`, or none, means the plain types of JSON.

    Raise `SerializationError`, naming the path below `field`, for malformed JSON, for a value of another type, and for
    an annotation that nothing can be decoded to.
    """
    return decode_with(decoder_for(annotation, field), data, field)


def decode_with(decoder: msgspec.json.Decoder[Any], data: bytes | str | msgspec.Raw, field: str) -> Any:
    """Like `decode`, with what `decoder_for` has returned for the annotation."""
    try:
        return decoder.decode(data)
    except Exception as error:
        # Not only msgspec's errors: `__post_init__`, `__hash__` and validators of the annotated classes run here too.
        raise located(error, field) from error


def located(error: Exception, field: str, *, root: str = "$") -> SerializationError:
    """Translate what msgspec raised while it decoded `field`; with an empty one, the whole payload is called `root`."""
    if isinstance(error, RecursionError):
        return SerializationError(field or root, _DEPTH_PROBLEM)
    problem, found, place = str(error).rpartition(" - at `")
    if not found:
        problem, place = place, ""
    path = place.rpartition("$")[2].removesuffix("`")
    for prefix in ("Object missing required field `", "Object contains unknown field `"):
        # msgspec locates the object; the field is what the reader looks for.
        if problem.startswith(prefix):
            path += "." + problem.removeprefix(prefix).partition("`")[0]
    if place.startswith("key"):
        problem += " (in a key)"
    # The payload has a say in both: it must not decide how long a line of the log gets.
    name = (field + path).lstrip(".") or root
    return SerializationError(name[:_LONGEST], problem[:_LONGEST] or type(error).__name__)


def _enc_hook(value: object) -> Any:
    """Encode what msgspec does not know."""
    for base, plain in _BASES.items():
        if isinstance(value, base):
            return plain(value)
    if _is_model(type(value)):
        return _model_data(value)
    raise NotImplementedError


def _dec_hook(kind: Any, value: Any) -> Any:
    """Decode what msgspec does not know: `kind` is a class that the user's annotation names."""
    if kind is object:
        return value
    if _is_model(kind):
        # From JSON text: a strict model takes a date from its text there, and only there.
        return kind.model_validate_json(_encode(value))
    for base, plain in _BASES.items():
        if type(value) is plain and isinstance(kind, type) and issubclass(kind, base):
            return cast("Any", kind)(value)
    raise TypeError(f"the annotation {_name(kind)} cannot be decoded; {_DECODE_FIX}")


def _is_model(kind: object) -> bool:
    """Whether `kind` is a pydantic model; nothing can be one before pydantic has been imported, so it need not be."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return base is not None and isinstance(kind, type) and issubclass(kind, base)


def _model_data(model: Any) -> Any:
    # round_trip leaves out computed fields, which a model that forbids extra fields would not take back.
    data = model.model_dump(mode="json", by_alias=True, round_trip=True)
    return _with_sorted_sets(data, model.model_dump(by_alias=True, round_trip=True))


def _with_sorted_sets(data: Any, original: Any) -> Any:
    """Sort the lists in `data` that are sets in `original`: pydantic writes sets in the order of this process."""
    if _is(data, list) and _is(original, set, frozenset):
        return sorted(data, key=_encode)
    if not _is(data, list, dict) or not _is(original, list, tuple, dict) or len(data) != len(original):
        return data  # a leaf, or a serializer of the model's own
    if _is(data, dict):
        originals = original.values() if _is(original, dict) else original
        return {key: _with_sorted_sets(data[key], item) for key, item in zip(data, originals, strict=True)}
    return [_with_sorted_sets(item, before) for item, before in zip(data, original, strict=True)]


def _is(value: object, *kinds: type) -> bool:
    """Tell without narrowing: what is inside a model's dump is Any."""
    return isinstance(value, kinds)


def _name(annotation: object) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)


_encode: Final = msgspec.json.Encoder(enc_hook=_enc_hook, order="deterministic").encode
_encode_with_any_key: Final = msgspec.json.Encoder().encode


def decoder_for(annotation: Any, field: str) -> msgspec.json.Decoder[Any]:
    """Return what decodes to `annotation`; raise `SerializationError` when nothing can."""
    try:
        return _cached_decoder(annotation)
    except Exception:  # noqa: BLE001  unsupported, or fine but without a hash, as Annotated[int, []] is
        return _new_decoder(annotation, field)


@lru_cache(maxsize=1024)  # as many as a large app has annotations; bounded, for it keeps their classes alive
def _cached_decoder(annotation: Any) -> msgspec.json.Decoder[Any]:
    kind = Any if annotation is inspect.Parameter.empty else annotation
    return msgspec.json.Decoder(kind, dec_hook=_dec_hook)


def _new_decoder(annotation: Any, field: str) -> msgspec.json.Decoder[Any]:
    try:
        return msgspec.json.Decoder(annotation, dec_hook=_dec_hook)
    except Exception as error:
        problem = f"the annotation {_name(annotation)} cannot be decoded: {error}; {_DECODE_FIX}"
        raise SerializationError(field, problem) from error


def _is_suspicious(data: bytes) -> bool:
    """Whether the text may hide a NaN or a set of compound elements: to search it is cheap, to search the value is not.

    Single bytes go first, for speed; then `find`, because `in` takes three times as long to look for more than one.
    """
    if _N in data and data.find(b"null") >= 0:
        return True
    return _BRACKET in data and (data.find(b"[[") >= 0 or data.find(b"[{") >= 0)


def _needs_care(value: object) -> bool:
    """Whether msgspec's text may hide a NaN, or depends on the order of a set. `value` has no cycle: it was encoded."""
    found = [value]
    for item in found:
        kind = type(item)
        if kind in PLAIN:
            continue
        if isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, (set, frozenset)):
            return True
        else:
            found.extend(_children(item))
    return False


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[object, object]", value).values()
    if isinstance(value, (list, tuple)):
        return cast("Iterable[object]", value)
    if _is_model(type(value)):
        return (_model_data(value),)
    return (getattr(value, name) for name in _field_names(value))


def _field_names(value: object) -> list[str]:
    """Return the fields of a Struct, a dataclass or an attrs object that are set; nothing for any other value."""
    kind: Any = type(value)
    names: list[str] = [*getattr(kind, "__struct_fields__", ())]
    if dataclasses.is_dataclass(kind):
        names += [field.name for field in dataclasses.fields(kind)]
    # msgspec leaves out the private fields of attrs objects.
    names += [field.name for field in getattr(kind, "__attrs_attrs__", ()) if not field.name.startswith("_")]
    return [name for name in names if getattr(value, name, msgspec.UNSET) is not msgspec.UNSET]


def _encode_carefully(value: object, field: str) -> bytes:
    """Encode in Python: slower, but each failure has a path, and neither NaN, sets nor keys get past."""
    try:
        return _careful(value, field)
    except SerializationError:
        raise
    except RecursionError as error:
        raise SerializationError(field, _DEPTH_PROBLEM) from error
    except Exception as error:  # raised by user code while it was read: a property, an iterator, a serializer
        raise SerializationError(field, f"cannot be read: {error!r}; {_ENCODE_FIX}") from error


def _careful(value: object, path: str) -> bytes:
    if isinstance(value, dict):
        return _careful_dict(cast("dict[object, object]", value), path)
    if isinstance(value, (list, tuple)):
        items = enumerate(cast("Iterable[object]", value))
        return _array([_careful(item, f"{path}[{index}]") for index, item in items])
    if isinstance(value, (set, frozenset)):
        # By their text: the only order that all elements of any type have, and the same in every process.
        return _array(sorted(_careful(item, f"{path}[...]") for item in cast("Iterable[object]", value)))
    if names := _field_names(value):
        return _careful_fields(value, names, path)
    if _is_model(type(value)):
        return _careful_model(value, path)
    return _careful_leaf(value, path)


def _array(items: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def _careful_dict(value: dict[object, object], path: str) -> bytes:
    members: dict[bytes, bytes] = {}
    for key, item in value.items():
        name = _careful_key(key, path)
        if name in members:
            raise SerializationError(path, f"two keys are spelled {name.decode()} in JSON; use keys of one type")
        members[name] = _careful(item, _member_path(path, key))
    return b"{" + b",".join(b"%b:%b" % member for member in sorted(members.items())) + b"}"


def _member_path(path: str, key: object) -> str:
    return f"{path}.{key}" if isinstance(key, str) and key.isidentifier() else f"{path}[{key!r}]"


def _careful_key(key: object, path: str) -> bytes:
    if isinstance(key, float) and not math.isfinite(key):
        raise SerializationError(path, f"cannot encode the key {key!r}: JSON has no such number; use a finite one")
    try:
        # msgspec knows how to spell a key (older versions not that of an Enum): take it from an object with no other.
        key = cast("object", key.value) if isinstance(key, Enum) else key
        return _encode_with_any_key({key: None}).removeprefix(b"{").removesuffix(b":null}")
    except Exception as error:
        raise SerializationError(path, _problem("dict key", key, error, "use text or numbers as keys")) from error


def _careful_fields(value: object, names: Iterable[str], path: str) -> bytes:
    """Encode a copy whose fields are encoded already: renaming, tags and array-likes stay msgspec's business."""
    encoded = copy(value)
    put: Any = msgspec.structs.force_setattr if isinstance(value, msgspec.Struct) else object.__setattr__
    for name in names:
        put(encoded, name, msgspec.Raw(_careful(getattr(value, name), f"{path}.{name}")))
    return _encode(encoded)


def _careful_model(value: object, path: str) -> bytes:
    try:
        data = _model_data(value)
    except Exception as error:
        raise SerializationError(path, _problem("object", value, error, _ENCODE_FIX)) from error
    return _careful(data, path)


def _careful_leaf(value: object, path: str) -> bytes:
    try:
        data = _encode(value)
    except Exception as error:
        raise SerializationError(path, _problem("object", value, error, _ENCODE_FIX)) from error
    if data == b"null" and value is not None:
        raise SerializationError(path, f"cannot encode {value!r}: JSON has no such number; use None or text instead")
    return data


def _problem(what: str, value: object, error: Exception, fix: str) -> str:
    # Both say "unsupported", which repeats the type; whatever else it was is worth reading.
    reason = "" if isinstance(error, (TypeError, NotImplementedError)) else f" ({error})"
    return f"cannot encode {what} of type {type(value).__qualname__}{reason}; {fix}"
