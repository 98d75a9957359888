import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from pynenc_async.codec import decode, encode
from pynenc_async.envelope import LATEST, MAX_SIZE, Envelope, from_json, to_json
from pynenc_async.errors import RemoteError, SerializationError
from pynenc_async.outcome import ErrorData, describe, rebuild
from pynenc_async.status import InvocationStatus

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy

S = InvocationStatus


def finished(**changes):
    fields = {
        "version": 1,
        "invocation_id": "0123abcd-7",
        "task_id": "app.tasks.add",
        "arguments": Raw(b'{"x":1,"y":[2]}'),
        "parent_invocation_id": "0123abcd-6",
        "status": S.SUCCESS,
        "num_retries": 0,
        "registered_at": 1_700_000_000.25,
        "started_at": 1_700_000_000.5,
        "ended_at": 1_700_000_001.0,
        "runner_id": "0123abcd",
        "result": Raw(b"[1,2]"),
    }
    return Envelope(**(fields | changes))


def waiting(**changes):
    unfinished = {"status": S.REGISTERED, "started_at": None, "ended_at": None, "runner_id": None, "result": UNSET}
    return finished(**(unfinished | changes))


def failed(error, **changes):
    return finished(**({"status": S.FAILED, "result": UNSET, "error": error} | changes))


def fields_of(envelope):
    return json.loads(to_json(envelope))


def failure(text):
    """Return the SerializationError that reading raises, or None. Any other error is a failure of the test."""
    try:
        from_json(text)
    except SerializationError as error:
        return error
    return None


def test_it_is_one_flat_json_object():
    assert fields_of(finished()) == {
        "version": 1,
        "invocation_id": "0123abcd-7",
        "task_id": "app.tasks.add",
        "arguments": {"x": 1, "y": [2]},
        "parent_invocation_id": "0123abcd-6",
        "status": "success",
        "num_retries": 0,
        "registered_at": 1700000000.25,
        "started_at": 1700000000.5,
        "ended_at": 1700000001.0,
        "runner_id": "0123abcd",
        "result": [1, 2],
    }


def test_without_a_result_and_an_error_it_has_neither_field():
    assert not {"result", "error"} & fields_of(waiting()).keys()


def test_text_and_bytes_are_read_alike():
    text = to_json(finished())
    assert from_json(text) == from_json(text.encode()) == finished()


def test_arguments_and_result_are_decoded_when_asked_for():
    envelope = from_json(to_json(finished(result=Raw(encode({3, 1}, field="result")))))
    arguments = decode(envelope.arguments, dict[str, Raw], field="arguments")
    assert decode(arguments["y"], tuple[int, ...], field="arguments.y") == (2,)
    assert decode(envelope.result, set[int], field="result") == {1, 3}


def test_a_result_of_none_is_a_result():
    assert bytes(from_json(to_json(finished(result=Raw(b"null")))).result) == b"null"


def test_an_error_travels_as_data():
    data = from_json(to_json(failed(describe(ValueError("x", 1))))).error
    assert repr(rebuild(data, known_modules=[])) == "ValueError('x', 1)"


@pytest.mark.parametrize("type_name", ["os.system", "builtins.eval", "subprocess.Popen", "antigravity.Error"])
def test_a_payload_cannot_choose_what_is_built(type_name):
    data = from_json(to_json(failed(ErrorData(type_name=type_name, message="m", args=["echo"])))).error
    assert type(rebuild(data, known_modules=[])) is RemoteError


IDENTIFIERS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=512)
TIMES = st.floats(0, LATEST)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
RAW = JSON.map(lambda value: Raw(msgspec.json.encode(value)))
ERRORS = st.builds(
    ErrorData, type_name=st.text(), message=st.text(), traceback=st.text(), notes=st.lists(st.text(), max_size=2)
)


def envelopes_of(status):
    final = status.is_final()
    errors = {S.SUCCESS: st.just(UNSET), S.FAILED: ERRORS}
    return st.builds(
        Envelope,
        version=st.just(1),
        invocation_id=IDENTIFIERS,
        task_id=IDENTIFIERS,
        arguments=st.dictionaries(st.text(), JSON, max_size=3).map(lambda value: Raw(msgspec.json.encode(value))),
        parent_invocation_id=st.none() | IDENTIFIERS,
        status=st.just(status),
        num_retries=st.integers(0),
        registered_at=TIMES,
        started_at=st.none() | TIMES,
        ended_at=TIMES if final else st.none(),
        runner_id=st.none() | IDENTIFIERS,
        result=RAW if status is S.SUCCESS else st.just(UNSET),
        error=errors.get(status, st.just(UNSET) | ERRORS if final else st.just(UNSET)),
    )


ENVELOPES = st.sampled_from(S).flatmap(envelopes_of)


@pytest.mark.slow
@UNTIMED
@given(ENVELOPES)
def test_every_consistent_envelope_comes_back(envelope):
    text = to_json(envelope)
    assert from_json(text) == envelope
    assert to_json(from_json(text)) == text


# Each payload is a valid one with something wrong, and the field that the error must name.


def changed(envelope=None, **changes):
    return json.dumps(fields_of(envelope or finished()) | changes)


def without(field):
    fields = fields_of(finished())
    del fields[field]
    return json.dumps(fields)


def nested_cause(depth):
    head = '{"type_name":"builtins.ValueError","message":"m","cause":'
    return to_json(failed(describe(ValueError()))).replace('"error":{', '"error":' + head * depth + "{", 1)


ERROR = {"type_name": "builtins.ValueError", "message": "m"}
TEXT = to_json(finished())
HOSTILE = {
    "empty": ("", "envelope"),
    "blank": (" \n", "envelope"),
    "null": ("null", "envelope"),
    "a number": ("1", "envelope"),
    "a list": ("[]", "envelope"),
    "an empty object": ("{}", "version"),
    "foreign json": ('{"id": 1, "jsonrpc": "2.0"}', "id"),
    "xml": ("<invocation/>", "envelope"),
    "pickle": (b"\x80\x04\x95\x1e\x00\x00\x00", "envelope"),
    "pickle protocol 0": (b"cos\nsystem\n(S'true'\ntR.", "envelope"),
    "truncated": (TEXT[:-1], "envelope"),
    "twice": (TEXT * 2, "envelope"),
    "json in a json string": (json.dumps(TEXT), "envelope"),
    "utf-16": (TEXT.encode("utf-16"), "envelope"),
    "byte order mark": (b"\xef\xbb\xbf" + TEXT.encode(), "envelope"),
    "invalid utf-8 in a skipped value": (TEXT.encode().replace(b'"x"', b'"\xff"'), "envelope"),
    "lone surrogate": (TEXT.replace('"x"', '"\ud800"'), "envelope"),
    "escaped surrogate": (TEXT.replace('"x"', '"\\ud800"'), "envelope"),
    "deep lists": ("[" * 1_000_000, "envelope"),
    "deep arguments": (TEXT.replace("[2]", "[" * 200_000 + "]" * 200_000), "envelope"),
    "deep cause": (nested_cause(200_000), "envelope"),
    "too large": (" " * (MAX_SIZE + 1), "envelope"),
    "version of the future": (changed(version=2), "version"),
    "version as text": (changed(version="1"), "version"),
    "version as a float": (changed(version=1.5), "version"),
    "unknown field": (changed(run_as="root"), "run_as"),
    "unknown field with a long name": (changed(**{"x" * 100_000: 1}), "x" * 1000),
    "id missing": (without("invocation_id"), "invocation_id"),
    "id empty": (changed(invocation_id=""), "invocation_id"),
    "id null": (changed(invocation_id=None), "invocation_id"),
    "id a number": (changed(invocation_id=7), "invocation_id"),
    "id an object": (changed(invocation_id={"$ne": None}), "invocation_id"),
    "id too long": (changed(invocation_id="x" * 513), "invocation_id"),
    "id with a line break": (changed(invocation_id="a\nINFO all is well"), "invocation_id"),
    "id with a nul": (changed(invocation_id="a\x00"), "invocation_id"),
    "id with an escape sequence": (changed(invocation_id="\x1b[2J"), "invocation_id"),
    "id that reads backwards": (changed(invocation_id="a\u202eb"), "invocation_id"),
    "task missing": (without("task_id"), "task_id"),
    "task a list": (changed(task_id=["os", "system"]), "task_id"),
    "task with a tab": (changed(task_id="os\tsystem"), "task_id"),
    "parent empty": (changed(parent_invocation_id=""), "parent_invocation_id"),
    "parent with a line break": (changed(parent_invocation_id="\r\n"), "parent_invocation_id"),
    "runner too long": (changed(runner_id="x" * 513), "runner_id"),
    "runner with a bell": (changed(runner_id="\a"), "runner_id"),
    "arguments missing": (without("arguments"), "arguments"),
    "arguments a list": (changed(arguments=[1, 2]), "arguments"),
    "arguments null": (changed(arguments=None), "arguments"),
    "arguments json in a string": (changed(arguments='{"x": 1}'), "arguments"),
    "status missing": (without("status"), "status"),
    "status unknown": (changed(status="done"), "status"),
    "status in upper case": (changed(status="SUCCESS"), "status"),
    "status a number": (changed(status=1), "status"),
    "retries negative": (changed(num_retries=-1), "num_retries"),
    "retries a float": (changed(num_retries=1.5), "num_retries"),
    "retries true": (changed(num_retries=True), "num_retries"),
    "retries with a million digits": (TEXT.replace('retries":0', 'retries":' + "9" * 1_000_000), "num_retries"),
    "time missing": (without("registered_at"), "registered_at"),
    "time null": (changed(registered_at=None), "registered_at"),
    "time as text": (changed(registered_at="2020-01-01"), "registered_at"),
    "time before the epoch": (changed(started_at=-1), "started_at"),
    "time after the year 9999": (changed(ended_at=1e300), "ended_at"),
    "time not a number": (TEXT.replace("1700000001.0", "NaN"), "envelope"),
    "time infinite": (TEXT.replace("1700000001.0", "1e999"), "ended_at"),
    "final without an end": (changed(ended_at=None), "ended_at"),
    "running with an end": (changed(waiting(status=S.RUNNING), ended_at=1.0), "ended_at"),
    "success without a result": (without("result"), "result"),
    "running with a result": (changed(waiting(status=S.RUNNING), result=1), "result"),
    "failed with a result": (changed(failed(describe(ValueError())), result=1), "result"),
    "success with an error": (changed(error=ERROR), "error"),
    "waiting with an error": (changed(waiting(), error=ERROR), "error"),
    "failed without an error": (changed(finished(status=S.CANCELLED, result=UNSET), status="failed"), "error"),
    "error null": (changed(failed(describe(ValueError())), error=None), "error"),
    "error as text": (changed(failed(describe(ValueError())), error="boom"), "error"),
    "error without a type": (changed(failed(describe(ValueError())), error={"message": "m"}), "error.type_name"),
    "error with an unknown field": (
        changed(failed(describe(ValueError())), error=ERROR | {"reduce": 1}),
        "error.reduce",
    ),
    "error with mistyped notes": (
        changed(failed(describe(ValueError())), error=ERROR | {"notes": [1]}),
        "error.notes[0]",
    ),
    "error with a mistyped cause": (
        changed(failed(describe(ValueError())), error=ERROR | {"cause": ERROR | {"message": 1}}),
        "error.cause.message",
    ),
}


@pytest.mark.parametrize(("text", "field"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_an_envelope_is_refused_by_the_name_of_the_field(text, field):
    error = failure(text)
    assert error is not None
    assert error.field == field
    assert len(str(error)) < 5_000


@pytest.mark.parametrize("size", range(0, len(TEXT), 7))
def test_every_truncation_is_refused(size):
    assert failure(TEXT[:size]).field


@pytest.mark.slow
def test_what_would_be_refused_for_its_size_is_not_written():
    with pytest.raises(SerializationError, match=r"^envelope: is larger than"):
        to_json(finished(result=Raw(b'"' + b"x" * MAX_SIZE + b'"')))


def test_text_that_is_not_unicode_is_not_written():
    with pytest.raises(SerializationError, match=r"^envelope: .*surrogates"):
        to_json(finished(task_id="\ud800"))


def test_a_number_of_too_many_digits_is_not_written():
    with pytest.raises(SerializationError, match=r"^envelope: .*4300 digits"):
        to_json(finished(num_retries=10**5000))


def damage(data, text):
    """Flip, cut, insert or move some bytes."""
    place = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 8))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "replace", "swap"]))
    damaged = bytearray(text)
    if kind == "flip":
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del damaged[place : place + length]
    elif kind == "insert":
        damaged[place:place] = data.draw(st.binary(max_size=8))
    elif kind == "replace":
        damaged[place : place + length] = data.draw(
            st.sampled_from([b"null", b"{}", b"[]", b'"', b"1e999", b"-", b"\\"])
        )
    else:
        other = data.draw(st.integers(0, len(text) - 1))
        damaged[place], damaged[other] = damaged[other], damaged[place]
    return bytes(damaged)


@pytest.mark.slow
@UNTIMED
@given(ENVELOPES, st.data())
def test_a_damaged_envelope_is_read_consistently_or_refused(envelope, data):
    damaged = damage(data, to_json(envelope).encode())
    error = failure(damaged)
    if error is not None:
        assert error.field
    else:
        # What was accepted obeys every rule: it can be written, and is read again as the same.
        accepted = from_json(damaged)
        assert from_json(to_json(accepted)) == accepted


@UNTIMED
@given(ENVELOPES, st.data())
def test_a_field_of_another_type_is_read_consistently_or_refused(envelope, data):
    fields = fields_of(envelope)
    field = data.draw(st.sampled_from(sorted(fields)))
    fields[field] = data.draw(JSON)
    error = failure(json.dumps(fields))
    assert error is None or error.field.partition(".")[0].partition("[")[0] in {
        field,
        "ended_at",
        "result",
        "error",
        "envelope",
    }


@UNTIMED
@given(st.binary() | st.text() | JSON.map(json.dumps))
def test_garbage_is_refused(text):
    assert failure(text).field
