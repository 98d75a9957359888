"""Models of pydantic, which need not be installed: as plain data, and back."""

import sys
from collections.abc import Callable
from typing import Any


def is_model(kind: object) -> bool:
    """Whether `kind` is a pydantic model; nothing can be one before pydantic has been imported, so it need not be."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return base is not None and isinstance(kind, type) and issubclass(kind, base)


def model_data(model: Any) -> Any:
    """Return what a model writes of itself, as plain data of JSON."""
    # round_trip leaves out computed fields, which a model that forbids extra fields would not take back. Warnings say
    # that something may be lost: whether it is will be seen.
    return model.model_dump(mode="json", by_alias=True, round_trip=True, warnings=False)


def read_model(kind: Any, data: bytes) -> Any:
    """Return a model of class `kind` from its JSON text."""
    return kind.model_validate_json(data)


def sorted_model_data(model: Any, key: Callable[[Any], Any]) -> Any:
    """Return the same with sorted sets: pydantic writes them in the order of this process."""
    return _with_sorted_sets(model_data(model), model.model_dump(by_alias=True, round_trip=True, warnings=False), key)


def _with_sorted_sets(data: Any, original: Any, key: Callable[[Any], Any]) -> Any:
    """Sort the lists in `data` that are sets in `original`."""
    if _is(data, list) and _is(original, set, frozenset):
        return sorted(data, key=key)
    if not _is(data, list, dict) or not _is(original, list, tuple, dict) or len(data) != len(original):
        return data  # a leaf, or a serializer of the model's own
    if _is(data, dict):
        originals = original.values() if _is(original, dict) else original
        pairs = zip(data, originals, strict=True)
        return {name: _with_sorted_sets(data[name], item, key) for name, item in pairs}
    return [_with_sorted_sets(item, before, key) for item, before in zip(data, original, strict=True)]


def _is(value: object, *kinds: type) -> bool:
    """Tell without narrowing: what is inside a model's dump is Any."""
    return isinstance(value, kinds)
