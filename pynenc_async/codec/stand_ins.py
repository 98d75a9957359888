"""Annotations as msgspec can decode them: what it refuses is replaced by stand-ins, as far as generic types reach.

A stand-in decodes an enum of mixed values, a literal of any values, and a union whose members are spelled alike: there
it takes the first member that would be written as the text is. Inside of classes nothing can be replaced.
"""

import types
from collections.abc import Callable, Container, Iterable, Mapping, Reversible
from enum import Enum, EnumType
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from pynenc_async.codec.hooks import DECODE_FIX, StandIn, dec_hook, encode, name_of

UNIONS: Final = (Union, types.UnionType)
_ITERABLES: Final = (Iterable, Reversible, Container)
"""What msgspec does not know, as it does sequences, to be a list."""
_GENERIC: Final = ("builtins", "collections.abc")
_ANY_TEXT: Final = (bytes, bytearray, PurePath, str)
"""Types, and their subclasses, that are made of many a text that was meant as one."""


def decodable(annotation: Any) -> Any:
    """Return an annotation of the same values that msgspec can decode, if there is one.

    A `float` takes an int as well, as it does for type checkers, and leaves it one.
    """
    annotation = _meant(annotation)
    if annotation is float:
        return int | float
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(annotation, arguments)
    if origin in UNIONS:
        return _union(annotation, [decodable(member) for member in arguments])
    if isinstance(origin, type) and origin.__module__ in _GENERIC and arguments:
        return _generic(annotation, origin, arguments)
    return annotation if _is_known(annotation) else _members(annotation)


def _meant(annotation: Any) -> Any:
    """Return what stands for names of types, for type variables, and for what is more general than JSON."""
    while hasattr(annotation, "__supertype__"):  # of NewType
        annotation = annotation.__supertype__
    if isinstance(annotation, TypeVar):
        bound = _union_of(annotation.__constraints__) if annotation.__constraints__ else annotation.__bound__
        return Any if bound is None else _meant(bound)
    is_iterable = (get_origin(annotation) or annotation) in _ITERABLES
    return list[get_args(annotation) or Any] if is_iterable else annotation  # type: ignore[misc]


def _members(annotation: Any) -> Any:
    """Return a stand-in for an enum, or for a literal; anything else stays as it is."""
    if get_origin(annotation) is Literal:
        return _one_of(repr(annotation), get_args(annotation))
    return _one_of(name_of(annotation), list(annotation)) if isinstance(annotation, EnumType) else annotation


def _generic(annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    is_mapping = issubclass(origin, Mapping)
    keys = arguments[:1] if is_mapping else ()  # which are texts in JSON, and have rules of their own
    inner = (*keys, *map(decodable, arguments[len(keys) :]))
    same = all(one is other for one, other in zip(inner, arguments, strict=True))
    return annotation if same else origin[inner]


def _is_known(annotation: Any) -> bool:
    try:
        msgspec.json.Decoder(annotation, dec_hook=dec_hook)
    except Exception:  # noqa: BLE001
        return False
    return True


def _annotated(annotation: Any, arguments: tuple[Any, ...]) -> Any:
    inner, *metadata = arguments
    if any(isinstance(one, msgspec.Meta) for one in metadata) and _is_known(annotation):
        return annotation  # what it demands is demanded of one type
    annotated: Any = Annotated
    return annotated[(decodable(inner), *metadata)]


def _union(annotation: Any, members: list[Any]) -> Any:
    native = _union_of(members)
    if _is_known(native):
        return native
    some = [member for member in members if member is not type(None)]
    choice: Any = _first_of(name_of(annotation), sorted(some, key=_rank))
    return choice if len(some) == len(members) else choice | None


def _union_of(members: Iterable[Any]) -> Any:
    union: Any = Union
    return union[tuple(members)]


def _rank(member: Any) -> int:
    """Put `str` behind what is made of some texts only, and before what is made of nearly any."""
    if member is str:
        return 1
    is_text = isinstance(member, type) and issubclass(member, _ANY_TEXT) and not issubclass(member, Enum)
    return 2 if is_text else 0


def _first_of(name: str, members: list[Any]) -> Any:
    decoders = [msgspec.json.Decoder(member, dec_hook=dec_hook) for member in members]

    def read(value: Any) -> Any:
        text = encode(value)
        found = [made for decoder in decoders for made in _made(decoder, text)]
        if not found:
            raise TypeError(f"what is there fits no member of the annotation {name}; {DECODE_FIX}")
        return next((made for made in found if msgspec.json.decode(encode(made)) == value), found[0])

    return _stand_in(name, read)


def _made(decoder: msgspec.json.Decoder[Any], text: bytes) -> list[Any]:
    try:
        return [decoder.decode(text)]
    except Exception:  # noqa: BLE001  it is not this one
        return []


def _one_of(name: str, values: Iterable[Any]) -> Any:
    known = {encode(value): value for value in values}

    def read(value: Any) -> Any:
        try:
            return known[encode(value)]
        except KeyError:
            raise ValueError(f"Invalid value for {name}") from None

    return _stand_in(name, read)


def _stand_in(name: str, read: Callable[[Any], Any]) -> Any:
    return StandIn(name, (), {"read": staticmethod(read)})
