"""Conditions are frozen values: what they say, how they are combined, and what they refuse."""

import pickle

import pytest

from pynenc_async import Condition, InvocationStatus, Occurrence, Pynenc, emitted, failed, reached, returned, succeeded
from pynenc_async.triggers.conditions import AllOf, AnyOf

app = Pynenc()
S = InvocationStatus


@app.task
async def load(path: str) -> int:
    return len(path)


LOAD = f"{__name__}.load"


def happened(**facts):
    return Occurrence(timestamp=0.0, invocation_id="i", **facts)


def is_five(number):
    return number == 5


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (succeeded(load), f"succeeded({LOAD})"),
        (succeeded("other.task"), "succeeded(other.task)"),
        (failed(load), f"failed({LOAD})"),
        (failed(load, ValueError), f"failed({LOAD}, ValueError)"),
        (failed(load, (ValueError, OSError)), f"failed({LOAD}, ValueError, OSError)"),
        (reached(load, S.RUNNING, S.RETRY), f"reached({LOAD}, running, retry)"),
        (returned(load, 5), f"returned({LOAD}, 5)"),
        (returned(load, is_five), f"returned({LOAD}, is_five)"),
        (emitted("paid"), "emitted('paid')"),
        (emitted("paid", is_five), "emitted('paid', is_five)"),
        (emitted("paid").where(is_five), "emitted('paid').where(is_five)"),
        (emitted("a") & emitted("b") & emitted("c"), "emitted('a') & emitted('b') & emitted('c')"),
        (emitted("a") & (emitted("b") | emitted("c")), "emitted('a') & (emitted('b') | emitted('c'))"),
        (emitted("a") | emitted("b") & emitted("c"), "emitted('a') | emitted('b') & emitted('c')"),
    ],
)
def test_a_condition_says_what_it_waits_for(condition, text):
    assert str(condition) == text


def test_conditions_are_values():
    assert succeeded(load) == succeeded(LOAD)
    assert succeeded(load) != failed(load)
    assert returned(load, 5) == returned(load, 5) != returned(load, 6)
    assert returned(load, is_five) == returned(load, is_five)
    assert len({emitted("a") & emitted("b"), emitted("a") & emitted("b"), emitted("b") & emitted("a")}) == 2
    with pytest.raises(AttributeError):
        succeeded(load).text = "other"
    by_name = emitted("a") & succeeded(LOAD) | failed(LOAD, ValueError)
    assert pickle.loads(pickle.dumps(by_name)) == by_name  # noqa: S301  our own


def test_brackets_do_not_matter_within_one_operator():
    a, b, c = map(emitted, "abc")
    assert (a & b) & c == a & (b & c) == AllOf((a, b, c))
    assert (a | b) | c == a | (b | c) == AnyOf((a, b, c))
    assert (a & b) | c != a & (b | c)


@pytest.mark.parametrize(
    ("condition", "facts", "expected"),
    [
        (succeeded(load), {"task_id": LOAD, "status": S.SUCCESS}, True),
        (succeeded(load), {"task_id": LOAD, "status": S.FAILED}, False),
        (succeeded(load), {"task_id": "other", "status": S.SUCCESS}, False),
        (succeeded(load), {"event": LOAD}, False),
        (failed(load), {"task_id": LOAD, "status": S.FAILED, "error": KeyError()}, True),
        (failed(load, LookupError), {"task_id": LOAD, "status": S.FAILED, "error": KeyError()}, True),
        (failed(load, (OSError, ValueError)), {"task_id": LOAD, "status": S.FAILED, "error": KeyError()}, False),
        (reached(load, S.RETRY, S.RUNNING), {"task_id": LOAD, "status": S.RUNNING}, True),
        (reached(load, S.RETRY), {"task_id": LOAD, "status": S.RUNNING}, False),
        (returned(load, 5), {"task_id": LOAD, "status": S.SUCCESS, "result": 5}, True),
        (returned(load, None), {"task_id": LOAD, "status": S.FAILED}, False),
        (returned(load, is_five), {"task_id": LOAD, "status": S.SUCCESS, "result": 6}, False),
        (emitted("paid"), {"event": "paid"}, True),
        (emitted("paid"), {"event": "sent"}, False),
        (emitted("paid"), {"task_id": "paid", "status": S.SUCCESS}, False),
        (emitted("paid", is_five), {"event": "paid", "payload": 5}, True),
        (emitted("paid", is_five), {"event": "paid", "payload": 6}, False),
        (emitted("paid", is_five).where(lambda one: one.attempt), {"event": "paid", "payload": 5}, False),
        (succeeded(load).where(lambda one: one.arguments["path"]), {"event": "paid"}, False),
    ],
)
def test_what_meets_a_condition(condition, facts, expected):
    assert condition.is_met_by(happened(**facts)) is expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: succeeded(print), "decorate it with @app.task first"),
        (lambda: failed(load, ValueError()), "exception class"),
        (lambda: failed(load, int), "exception class"),
        (lambda: reached(load), "missing 1 required"),
        (lambda: emitted(5), "name of an event"),
        (lambda: emitted("a").where(5), "takes a function"),
        (lambda: emitted("a") & "b", "unsupported operand"),
        (lambda: emitted("a") | succeeded, "unsupported operand"),
        (lambda: emitted("a") and emitted("b"), "combined with & and |"),
        (lambda: not emitted("a"), "combined with & and |"),
        (lambda: app.on(load), "takes a condition"),
        (lambda: app.on(emitted("a"))(print), "put it above @app.task"),
    ],
)
def test_what_is_no_condition_is_refused_at_once(wrong, message):
    with pytest.raises(TypeError, match=message):
        wrong()


def test_an_unknown_status_is_refused_at_once():
    with pytest.raises(ValueError, match="nonsense"):
        reached(load, "nonsense")


def test_a_condition_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Condition()
