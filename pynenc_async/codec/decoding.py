"""Values from JSON, typed by annotations. No pickle, and no class that is looked up because a payload names it.

JSON knows fewer types than Python: `(1,)` and `[1]`, `{1: 0}` and `{"1": 0}`, a UUID and its text are spelled alike. It
is the annotation that tells them apart on the way back.
"""

import inspect
from functools import lru_cache
from typing import Any, Final

import msgspec

from pynenc_async.codec.careful import DEPTH_PROBLEM
from pynenc_async.codec.hooks import DECODE_FIX, dec_hook, name_of
from pynenc_async.errors import USER_CODE_RAISES, SerializationError
from pynenc_async.printable import printable, printable_lines

_LONGEST: Final = 1000


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
    except USER_CODE_RAISES as error:
        # Not only msgspec's errors: `__post_init__`, `__hash__` and validators of the annotated classes run here too.
        raise located(error, field) from error


def located(error: BaseException, field: str, *, root: str = "$") -> SerializationError:
    """Translate what msgspec raised while it decoded `field`; with an empty one, the whole payload is called `root`."""
    if isinstance(error, RecursionError):
        return SerializationError(field or root, DEPTH_PROBLEM)
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
    # The payload has a say in both: it must not decide what a terminal obeys, nor how long a line of the log gets.
    name = printable(((field + path).lstrip(".") or root)[:_LONGEST])
    return SerializationError(name[:_LONGEST], printable_lines(problem[:_LONGEST])[:_LONGEST] or type(error).__name__)


def decoder_for(annotation: Any, field: str) -> msgspec.json.Decoder[Any]:
    """Return what decodes to `annotation`; raise `SerializationError` when nothing can."""
    try:
        return _cached_decoder(annotation)
    except Exception:  # noqa: BLE001  unsupported, or fine but without a hash, as Annotated[int, []] is
        return _new_decoder(annotation, field)


@lru_cache(maxsize=1024)  # as many as a large app has annotations; bounded, for it keeps their classes alive
def _cached_decoder(annotation: Any) -> msgspec.json.Decoder[Any]:
    kind = Any if annotation is inspect.Parameter.empty else annotation
    return msgspec.json.Decoder(kind, dec_hook=dec_hook)


def _new_decoder(annotation: Any, field: str) -> msgspec.json.Decoder[Any]:
    try:
        return msgspec.json.Decoder(annotation, dec_hook=dec_hook)
    except USER_CODE_RAISES as error:
        problem = f"the annotation {name_of(annotation)} cannot be decoded: {error}; {DECODE_FIX}"
        raise SerializationError(field, problem) from error
