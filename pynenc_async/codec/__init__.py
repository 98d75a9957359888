"""Values to JSON, and back: `tiers` write, `decoding` reads, and a `Wire` sees that nothing changes on the way."""

from pynenc_async.codec.careful import PLAIN
from pynenc_async.codec.decoding import decode, decode_with, decoder_for, located
from pynenc_async.codec.tiers import encode, encode_at_once, refuse_null
from pynenc_async.codec.wire import Wire, read_back, refuse_loss

__all__ = [
    "PLAIN",
    "Wire",
    "decode",
    "decode_with",
    "decoder_for",
    "encode",
    "encode_at_once",
    "located",
    "read_back",
    "refuse_loss",
    "refuse_null",
]
