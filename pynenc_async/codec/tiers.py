"""Values to JSON, in two tiers.

msgspec writes nearly every value alone, in C. It cannot say *where* a value failed, it writes NaN as `null`, it sorts the
elements of a set by `<` (no total order between sets, an error between mixed types), and in deterministic order it takes
no dict key but `str`. The few values that this concerns are written once more, in Python, by a `CarefulEncoder`, which
knows where it stands. Equal values take the same tier.
"""

import math
from collections.abc import Iterable
from typing import Final, cast

from pynenc_async.codec import hooks
from pynenc_async.codec.careful import DEPTH_PROBLEM, PLAIN, CarefulEncoder, field_names
from pynenc_async.codec.models import is_model, model_data, sorted_model_data
from pynenc_async.errors import USER_CODE_RAISES, SerializationError

_N: Final = ord("n")
_BRACKET: Final = ord("[")

_encode: Final = hooks.encode
_encode_for_identity: Final = hooks.encode_for_identity
_carefully: Final = CarefulEncoder(_encode, model_data, in_order=True)
_carefully_for_identity: Final = CarefulEncoder(
    _encode_for_identity, lambda model: sorted_model_data(model, _encode_for_identity), in_order=False
)


def encode(value: object, *, field: str) -> bytes:
    """Return `value` as JSON, the same bytes for equal values in every process: what identities are made of.

    Raise `SerializationError`, naming the path below `field`, for a value that JSON cannot carry.
    """
    try:
        data = _encode_for_identity(value)
        if type(value) in PLAIN or not (_is_suspicious(data) and _needs_care(value, sets=True)):
            return data
    except USER_CODE_RAISES:  # msgspec's complaint, or whatever user code raised while it was read
        return _carefully_for_identity.encode(value, field)
    return _carefully_for_identity.encode(value, field)


def encode_at_once(value: object, *, field: str) -> bytes:
    """Return `value` as JSON, dicts in their order, NaN as `null`: what is stored and sent. Raises like `encode`.

    Another look is due at what comes out: by `refuse_null`, or by a comparison with what comes back.
    """
    try:
        return _encode(value)
    except USER_CODE_RAISES:
        return _carefully.encode(value, field)


def refuse_null(value: object, data: bytes, *, field: str) -> None:
    """Raise `SerializationError` where `data`, which `value` was encoded to, has a `null` that was a NaN."""
    if _has_null(data) and _needs_care(value, sets=False):
        _carefully.encode(value, field)


def refuse(value: object, problem: SerializationError, *, field: str) -> SerializationError:
    """Return why `value` does not make the way and back: what is wrong with it by itself, or else `problem`."""
    try:
        _carefully.encode(value, field)
    except SerializationError as error:
        return problem if error.problem == DEPTH_PROBLEM else error  # it was not too deep for msgspec
    return problem


def _is_suspicious(data: bytes) -> bool:
    """Whether the text may hide a NaN or a set of compound elements: to search it is cheap, to search the value is not.

    Single bytes go first, for speed; then `find`, because `in` takes three times as long to look for more than one.
    """
    return _has_null(data) or (_BRACKET in data and (data.find(b"[[") >= 0 or data.find(b"[{") >= 0))


def _has_null(data: bytes) -> bool:
    return _N in data and data.find(b"null") >= 0


def _needs_care(value: object, *, sets: bool) -> bool:
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
            if sets:
                return True
            found.extend(cast("Iterable[object]", item))
        else:
            found.extend(_children(item))
    return False


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[object, object]", value).values()
    if isinstance(value, (list, tuple)):
        return cast("Iterable[object]", value)
    if is_model(type(value)):
        return (model_data(value),)
    return (getattr(value, name) for name in field_names(value))
