"""What `with_options` said for one call, as JSON: it holds for that invocation wherever it runs.

Options that are code (exception classes, a predicate) do not travel: where the invocation is run by another process, the
task's own hold. When it may start is kept as a moment, not as an option. For which moment a schedule made it stands here, too.
"""

from dataclasses import fields
from typing import Any, Final

import msgspec

from pynenc_async.codec import decode
from pynenc_async.limit import Rate
from pynenc_async.options import TaskOptions
from pynenc_async.store.values import Fire

_CODE: Final = frozenset({"retry_for", "no_retry_for", "retry_if"})
_MOMENTS: Final = frozenset({"delay", "at"})
_FIRE: Final = "fire"
_KEPT: Final = tuple(field.name for field in fields(TaskOptions) if field.name not in _CODE | _MOMENTS)


def write_overrides(own: TaskOptions, used: TaskOptions, fire: Fire | None) -> bytes:
    """Return what differs in `used` from the task's `own` options; empty where nothing does."""
    if used is own and fire is None:
        return b""
    different: dict[str, Any] = {name: value for name in _KEPT if (value := getattr(used, name)) != getattr(own, name)}
    if fire is not None:
        different[_FIRE] = fire
    return msgspec.json.encode(different) if different else b""


def read_overrides(data: bytes) -> dict[str, Any]:
    """Return the options to give to `with_options`; none that this version does not know."""
    values = {name: value for name, value in decode(data, dict[str, Any], field="options").items() if name in _KEPT}
    rate = values.get("rate_limit")
    if rate is not None:
        values["rate_limit"] = msgspec.convert(rate, Rate)
    return values


def read_fire(data: bytes) -> Fire | None:
    """Return for which moment of which schedule the call was made."""
    fire = decode(data, dict[str, Any], field="options").get(_FIRE)
    return None if fire is None else msgspec.convert(fire, Fire)
