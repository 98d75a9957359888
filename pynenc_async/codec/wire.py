"""What values of one annotation are on their way: nothing is encoded that would not come back as it was."""

from typing import Any, Final

import msgspec

from pynenc_async.codec.decoding import decode_with, decoder_for
from pynenc_async.codec.differences import first_difference
from pynenc_async.codec.glance import exact_kinds, glance_of
from pynenc_async.codec.stand_ins import decodable
from pynenc_async.codec.tiers import encode_at_once, refuse, refuse_null
from pynenc_async.errors import USER_CODE_RAISES, SerializationError


class Wire:
    """Encodes values that are annotated alike, and decodes them to equal values of equal types.

    By the annotation it is decided once whether a glance at a value tells that it comes back. Where none does, it is
    decoded at once, and compared.
    """

    def __init__(self, annotation: Any, *, lists_for_tuples: bool = False) -> None:
        self.annotation: Final = _decodable(annotation)
        """The annotation as msgspec can decode it."""
        self.kinds: Final = exact_kinds(self.annotation) - {float}
        """Exact types of which msgspec alone writes all values so that they come back; it writes NaN as `null`."""
        self.fits: Final = glance_of(self.annotation)
        """Whether a value that could be encoded surely comes back, as far as can be told at a glance."""
        self._lists_for_tuples: Final = lists_for_tuples

    def encode(self, value: object, *, field: str) -> bytes:
        """Return `value` as JSON; raise `SerializationError` that names the path of what would not come back."""
        data = encode_at_once(value, field=field)
        if type(value) in self.kinds:
            return data
        if self.fits(value):
            refuse_null(value, data, field=field)
        else:
            back = read_back(self.decoder(field), data, field)
            refuse_loss(value, back, field, lists_for_tuples=self._lists_for_tuples)
        return data

    def decoder(self, field: str) -> msgspec.json.Decoder[Any]:
        """Return what decodes a value; raise `SerializationError` where nothing can."""
        return decoder_for(self.annotation, field)


def _decodable(annotation: Any) -> Any:
    try:
        return decodable(annotation)
    except Exception:  # noqa: BLE001  `decoder` says what is wrong with it
        return annotation


def read_back(decoder: msgspec.json.Decoder[Any], data: bytes, field: str) -> Any:
    """Return what comes back of `data`; raise `SerializationError` where that is nothing."""
    try:
        return decode_with(decoder, data, field)
    except SerializationError as error:
        problem = (
            f"{error.problem}; it could not be read back: pass what the annotation says, or annotate what is passed"
        )
        raise SerializationError(error.field, problem) from error


def refuse_loss(value: object, back: object, field: str, *, lists_for_tuples: bool = False) -> None:
    """Raise `SerializationError` unless `back`, which was made of the JSON of `value`, is the same."""
    try:
        difference = first_difference(value, back, lists_for_tuples=lists_for_tuples)
    except USER_CODE_RAISES as error:  # raised by user code while it was read
        raise SerializationError(field, f"cannot be compared with what comes back: {error!r}") from error
    if difference is not None:
        path, problem = difference
        raise refuse(value, SerializationError(field + path, problem), field=field)
