"""`def` bodies, wherever they run."""

from types import CoroutineType, GeneratorType
from typing import Any, cast

from pynenc_async.function import Function


def returned(function: Function, value: Any) -> Any:
    """Return what a `def` has returned; raise `TypeError` for what nobody would run: a coroutine, a generator it wraps."""
    kind = type(cast("object", value))  # no class derives from these, and `isinstance` asks a proxy what it stands for
    if kind is CoroutineType:
        value.close()
        raise TypeError(f"{function.task_id} is a def that returned a coroutine; make it async def, and await there")
    if kind is GeneratorType and function.generator is cast("GeneratorType[Any, Any, Any]", value).gi_code:
        value.close()
        raise TypeError(
            f"{function.task_id} wraps a generator function and returned its generator, of which nothing has run; make it "
            "`async def` with `yield` to stream items, or return a list"
        )
    return value
