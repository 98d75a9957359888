"""The document of W7: what `to_json` writes, as plain data, for the rivals that know no invocations.

`check_fields` holds the comparison to its word: it fails when the real document has other fields than this one.
"""

import json
from typing import Any

import msgspec

_REGISTERED_AT = 1_767_225_600.123456


class Record(msgspec.Struct):
    """One finished invocation, typed as a reader would type it."""

    version: int
    invocation_id: str
    task_id: str
    arguments: dict[str, Any]
    parent_invocation_id: str | None
    status: str
    num_retries: int
    registered_at: float
    started_at: float | None
    ended_at: float | None
    runner_id: str | None
    result: Any


def document(number: int) -> dict[str, Any]:
    """The plain data of one record; no two are equal, as no two invocations are."""
    return {
        "version": 1,
        "invocation_id": f"5f1d7a84e02c9b36-{number:x}",
        "task_id": "benchmarks.bodies.add",
        "arguments": {"left": number, "right": 2},
        "parent_invocation_id": None,
        "status": "success",
        "num_retries": 0,
        "registered_at": _REGISTERED_AT + number,
        "started_at": _REGISTERED_AT + number + 0.000_25,
        "ended_at": _REGISTERED_AT + number + 0.000_5,
        "runner_id": "5f1d7a84e02c9b36",
        "result": number + 2,
    }


def documents(n: int) -> list[dict[str, Any]]:
    return [document(number) for number in range(n)]


def texts(n: int) -> list[str]:
    """The documents as JSON text, written as compactly as msgspec does."""
    return [json.dumps(one, separators=(",", ":")) for one in documents(n)]


def check_fields(text: str) -> None:
    """Raise `ValueError` unless `text` has the fields of `Record`."""
    found, expected = set(json.loads(text)), set(Record.__struct_fields__)
    if found != expected:
        raise ValueError(f"to_json and benchmarks.records.Record differ in {sorted(found ^ expected)}; update Record")
