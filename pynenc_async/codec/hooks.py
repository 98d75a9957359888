"""What msgspec does not know by itself: subclasses of plain types, paths, pydantic models, and our own stand-ins."""

import datetime as dt
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, ClassVar, Final, cast

import msgspec

from pynenc_async.codec.differences import first_difference
from pynenc_async.codec.models import is_model, model_data, read_model, sorted_model_data
from pynenc_async.errors import SerializationError

DECODE_FIX: Final = "annotate with plain types, a dataclass, a msgspec.Struct or a pydantic model"


class StandIn(type):
    """The class of classes that stand in an annotation for what msgspec cannot decode by itself."""

    read: ClassVar[Callable[[Any], Any]]
    """Makes a value of what JSON has in its place."""

    def __instancecheck__(cls, instance: object) -> bool:
        """Let msgspec accept whatever `read` has made."""
        return True


def _time(value: Any) -> dt.time:
    return dt.time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo)


_PLAIN: Final[dict[type, Any]] = {PurePath: str, str: str, int: int, float: float}
"""What subclasses of a type are in JSON; msgspec takes exact types only, but numpy.float64 is still a number."""
_ISO: Final[dict[type, Callable[[Any], object]]] = {
    dt.datetime: lambda value: dt.datetime.combine(dt.date(value.year, value.month, value.day), _time(value)),
    dt.date: lambda value: dt.date(value.year, value.month, value.day),
    dt.time: _time,
    dt.timedelta: lambda value: dt.timedelta(value.days, value.seconds, value.microseconds),
}
"""The same for those that msgspec writes as text. A datetime is a date, too, and so comes first."""


def name_of(annotation: object) -> str:
    """Return an annotation as it was written, as far as that is known."""
    return annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)


def _plain_form(value: object) -> Any:
    for bases in (_PLAIN, _ISO):
        for base, plain in bases.items():
            if isinstance(value, base):
                return plain(value)
    raise NotImplementedError


def _enc_hook(value: object) -> Any:
    """Return what is written in place of `value`."""
    return model_data(value) if is_model(type(value)) else _plain_form(value)


def _enc_hook_for_identity(value: object) -> Any:
    """The same, in an order that no process decides.

    Raise `SerializationError` for a model that keeps what it does not write: two that differ must not be taken for one.
    """
    if not is_model(type(value)):
        return _plain_form(value)
    data = sorted_model_data(value, encode_for_identity)
    lost = first_difference(value, read_model(type(value), encode(data)))
    if lost is not None:
        raise SerializationError(lost.path, lost.problem)
    return data


encode: Final = msgspec.json.Encoder(enc_hook=_enc_hook).encode
"""Writes as things come, dicts in their order."""
encode_for_identity: Final = msgspec.json.Encoder(enc_hook=_enc_hook_for_identity, order="deterministic").encode
"""Writes equal values alike: keys sorted, which must be `str`, and sets as far as `<` can."""


def dec_hook(kind: Any, value: Any) -> Any:
    """Return a `kind`, a class that the user's annotation names, from what JSON has in its place."""
    if kind is object:
        return value
    if isinstance(kind, StandIn):
        return cast("Any", kind).read(value)
    if is_model(kind):
        # From JSON text: a strict model takes a date from its text there, and only there.
        return read_model(kind, encode(value))
    for base, plain in _PLAIN.items():
        if type(value) is plain and isinstance(kind, type) and issubclass(kind, base):
            return cast("Any", kind)(value)
    if type(value) is str and isinstance(kind, type) and issubclass(kind, (dt.date, dt.time)):
        return cast("Any", kind).fromisoformat(value)
    raise TypeError(f"the annotation {name_of(kind)} cannot be decoded; {DECODE_FIX}")
