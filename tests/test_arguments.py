"""A call accepts what the function accepts, refuses what it refuses, and hands over the very same values."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import Pynenc
from pynenc_async.testing import run

NAMES = ("a", "b", "self", "func", "task", "args", "kwargs", "v0", "v1", "_func_", "_defaults_", "cls", "url", "名")


@st.composite
def signatures(draw) -> str:
    """The parameter list of a function, in source."""
    names = iter(draw(st.permutations(NAMES)))
    positional_only, plain, keyword_only = (draw(st.integers(0, 2)) for _ in range(3))
    defaults_from = draw(st.integers(0, positional_only + plain))
    parts = []
    for index in range(positional_only + plain):
        parts.append(next(names) + (f"=DEFAULTS[{index}]" if index >= defaults_from else ""))
        if index == positional_only - 1:
            parts.append("/")
    if draw(st.booleans()):
        parts.append(f"*{next(names)}")
    elif keyword_only:
        parts.append("*")
    parts += [next(names) + (f"=DEFAULTS[{5 + index}]" if draw(st.booleans()) else "") for index in range(keyword_only)]
    if draw(st.booleans()):
        parts.append(f"**{next(names)}")
    return ", ".join(parts)


def define(parameters: str, *, form: str) -> Any:
    signature = inspect.signature(eval(f"lambda {parameters}: 0", {"DEFAULTS": DEFAULTS}))  # noqa: S307
    returned = ", ".join(f"({name!r}, {name})" for name in signature.parameters)
    namespace: dict[str, Any] = {"DEFAULTS": DEFAULTS, "__name__": __name__}
    exec(f"{form} target({parameters}):\n    return [{returned}]\n", namespace)  # noqa: S102
    return namespace["target"]


def outcome(call: Callable[[], object]) -> object:
    """Return what the call returns, or the message of its `TypeError`."""
    try:
        return call()
    except TypeError as error:
        return str(error)


DEFAULTS = [object() for _ in range(8)]
calls = st.tuples(
    st.lists(st.integers(), max_size=5),
    st.dictionaries(st.sampled_from((*NAMES, "unknown")), st.integers(), max_size=4),
)


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None, report_multiple_bugs=False)
@given(signatures(), calls)
def test_a_call_takes_exactly_what_the_function_takes(parameters, call):
    args, kwargs = call
    plain = define(parameters, form="def")
    task = Pynenc().task(define(parameters, form="async def"))

    async def submit():
        return await task(*args, **kwargs)

    # The function is the judge: `Signature.bind` of 3.11 refuses a keyword for `**kwargs` that a positional-only has.
    assert outcome(lambda: run(submit)) == outcome(lambda: plain(*args, **kwargs))


@settings(max_examples=examples(60), deadline=None, report_multiple_bugs=False)
@given(signatures(), calls)
def test_a_thread_gets_the_same_values_as_the_loop(parameters, call):
    args, kwargs = call
    task = Pynenc().task(define(parameters, form="def"))

    async def submit():
        return await task(*args, **kwargs)

    assert outcome(lambda: run(submit)) == outcome(lambda: task.func(*args, **kwargs))


@settings(max_examples=examples(100), deadline=None, report_multiple_bugs=False)
@given(signatures(), calls)
def test_args_binds_like_a_call(parameters, call):
    args, kwargs = call
    task = Pynenc().task(define(parameters, form="def"))
    bound = outcome(lambda: list(task.args(*args, **kwargs).kwargs.items()))
    assert bound == outcome(lambda: task.func(*args, **kwargs))


async def test_wrong_arguments_raise_at_the_call_and_submit_nothing():
    app = Pynenc()

    @app.task
    async def add(a, b):
        return a + b

    with pytest.raises(TypeError, match=r"add\(\) missing 1 required positional argument: 'b'"):
        add(1)
    with pytest.raises(TypeError, match=r"add\(\) got an unexpected keyword argument 'c'"):
        add(1, b=2, c=3)
    with pytest.raises(TypeError, match=r"add\(\) takes 2 positional arguments but 3 were given"):
        add(1, 2, 3)
    assert app.invocations() == []


async def test_the_message_has_the_qualified_name_of_the_function():
    class Shop:
        async def order(self, item):
            return item

    task = Pynenc().task(Shop().order)
    with pytest.raises(TypeError, match=r"Shop\.order\(\) "):
        task(1, 2)
    assert await task("bread") == "bread"


async def test_the_body_gets_the_very_objects():
    app = Pynenc()
    given_value, default = object(), []

    @app.task
    async def same(value, items=default, *more, key=default, **rest):
        return value, items, more, key, rest

    value, items, more, key, rest = await same(given_value, default, default, key=given_value, other=given_value)
    assert value is key is rest["other"] is given_value
    assert items is default
    assert more[0] is default
    assert (await same(1))[1] is default


async def test_task_arguments_never_clash_with_the_names_of_the_runtime():
    app = Pynenc()

    @app.task
    async def work(self, func, args, kwargs, *, task, params, window, timeout, max_retries):  # noqa: ASYNC109
        return locals()

    values = {"self": 1, "func": 2, "args": 3, "kwargs": 4, "task": 5, "params": 6, "window": 7, "timeout": 8}
    assert await work(**values, max_retries=9) == {**values, "max_retries": 9}
    assert work.args(**values, max_retries=9).kwargs == {**values, "max_retries": 9}
    assert await (await work.submit(**values, max_retries=9)) == {**values, "max_retries": 9}
    assert await work.parallelize([{**values, "max_retries": 9}]) == [{**values, "max_retries": 9}]


async def test_what_a_submitter_does_to_its_own_dict_afterwards_is_not_seen():
    app = Pynenc()

    @app.task
    async def work(**options):
        return options

    options = {"a": 1}
    invocation = work(**options)
    options["a"] = 2
    assert await invocation == {"a": 1}


async def test_what_the_body_does_to_its_kwargs_does_not_change_the_call():
    app = Pynenc()

    @app.task
    async def work(**options):
        options["added"] = 1
        return options

    invocation = work(a=1)
    before = invocation.call_id
    await invocation
    assert invocation.call_id == before
    assert invocation.arguments.kwargs == {"options": {"a": 1}}


async def test_a_retry_gets_the_same_kwargs_as_the_first_attempt():
    app = Pynenc()

    @app.task(max_retries=1)
    async def work(**options):
        options["attempt"] = options.get("attempt", 0) + 1
        if len(seen := options) and not failed:
            failed.append(seen)
            raise ValueError
        return options

    failed: list[Any] = []
    assert await work(a=1) == {"a": 1, "attempt": 1}


async def test_arguments_compare_by_value_and_hash_alike():
    app = Pynenc()

    @app.task
    async def work(a, b=2, *args, c=3, **kwargs):
        pass

    @app.task
    async def other(a, b=2, *args, c=3, **kwargs):
        pass

    one, same = work.args(1), work.args(b=2, a=1, c=3)
    assert one == same
    assert hash(one) == hash(same)
    assert one != work.args(2)
    assert one != other.args(1)
    assert one != (1, 2, (), 3, {})
    assert "a=1" in repr(one)
    assert "b=2" in repr(one)


async def test_equal_arguments_have_equal_hashes():
    app = Pynenc()

    @app.task
    async def work(a):
        pass

    for one, other in ((1, True), (1, 1.0), (0.0, -0.0)):
        left, right = work.args(one), work.args(other)
        assert (left != right) or (hash(left) == hash(right))
        assert (left == right) is (left.args_id == right.args_id), (one, other)
