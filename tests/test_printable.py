"""Nothing that strangers have written is obeyed by the terminal on which it is shown."""

import asyncio
import gc
import json
import logging

import pytest
from helpers import turns

from pynenc_async import DistributedInvocation, InvocationCancelledError, Pynenc, RemoteError
from pynenc_async.cli import main
from pynenc_async.invocation.progress_bar import Bar
from pynenc_async.printable import Lines, printable, printable_lines
from pynenc_async.telemetry import log

HOSTILE = "\x1b[2J\x9b2J\x07\r\x08\u202e\nERROR forged"
SPELLED_OUT = r"\x1b[2J\x9b2J\x07\r\x08\u202e\nERROR forged"


async def fail():
    raise ValueError(HOSTILE)


def read_from_json(error):
    """Return a handle to a failed invocation, as a stranger may have written it."""

    async def make():
        invocation = Pynenc().task(fail)()
        await invocation.wait()
        invocation.exception()
        return json.loads(invocation.to_json())

    data = asyncio.run(make()) | {"invocation_id": "00000000000000aa-7"}
    data["error"] |= error
    app = Pynenc()
    app.task(fail)
    return DistributedInvocation.from_json(app, json.dumps(data))


def test_a_text_is_shown_on_one_line():
    assert printable(HOSTILE) == SPELLED_OUT
    assert printable("\udcff\ud800") == r"\udcff\ud800"


def test_a_text_of_several_lines_keeps_them():
    assert printable_lines(f"one\n\ttwo{HOSTILE}") == "one\n\ttwo" + SPELLED_OUT.replace(r"\n", "\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "caf\u00e9 :\u00a0oui",
        "\U0001f469\u200d\U0001f4bb",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    ],
)
def test_what_people_write_stays_as_it_is(text):
    assert printable(text) == printable_lines(text) == text


def test_a_reason_is_shown_on_one_line_and_kept_as_it_is():
    error = InvocationCancelledError("id", HOSTILE)
    assert str(error).endswith(f": {SPELLED_OUT}")
    assert error.reason == HOSTILE


async def test_the_reason_of_a_cancellation_is_shown_on_one_line():
    app = Pynenc()
    async with app:
        invocation = app.task(fail).with_options(delay=60)()
        await invocation.cancel(HOSTILE)
        with pytest.raises(InvocationCancelledError) as caught:
            await invocation
    assert str(caught.value).isprintable()
    assert invocation.history[-1].reason == HOSTILE


def test_the_message_of_an_unknown_error_is_spelled_out():
    error = read_from_json(
        {"type_name": "unknown.Error", "message": HOSTILE, "traceback": HOSTILE, "notes": [HOSTILE]}
    ).exception()
    assert isinstance(error, RemoteError)
    for text in (str(error), error.traceback, *error.__notes__):
        assert text.replace("\n", "").isprintable()
    assert error.message == HOSTILE


def test_notes_and_tracebacks_of_known_errors_are_spelled_out():
    error = read_from_json({"traceback": HOSTILE, "notes": [HOSTILE]}).exception()
    assert type(error) is ValueError
    assert error.args == (HOSTILE,)
    assert len(error.__notes__) == 2
    assert "".join(error.__notes__).replace("\n", "").isprintable()


class Hostile:
    def __repr__(self):
        return HOSTILE


def test_arguments_are_shown_spelled_out():
    task = Pynenc().task(fail_with)
    assert repr(task.args(Hostile())) == f"Arguments(value={SPELLED_OUT})"


async def fail_with(value): ...


def logged(caplog):
    return "\n".join(caplog.handler.format(record) for record in caplog.records)


async def test_an_error_that_nobody_looked_at_is_logged_spelled_out(caplog):
    async with Pynenc() as app:
        app.task(fail)()
        while app.statistics().living:
            await turns(1)
    await turns(3)
    gc.collect()
    text = logged(caplog)
    assert "ERROR forged" in text
    assert text.replace("\n", "").isprintable()
    assert caplog.records[-1].exc_info[1].args == (HOSTILE,)


def test_what_a_message_of_the_log_is_made_of_is_on_its_line(caplog):
    log.warning("invocation %s: %s\n%s", HOSTILE, ValueError(HOSTILE), Lines("a stack\n\x1b"))
    assert caplog.messages == [f"invocation {SPELLED_OUT}: {SPELLED_OUT}\na stack\n\\x1b"]


def test_the_command_line_complains_spelled_out(capsys):
    assert main(["options", "--app", f"missing{HOSTILE}:app"]) == 1
    assert capsys.readouterr().err.replace("\n", "").isprintable()


def test_options_are_explained_spelled_out():
    assert HOSTILE not in Pynenc(app_id=HOSTILE).explain_options()


def test_a_progress_bar_is_described_spelled_out():
    pytest.importorskip("rich")
    bar = Bar(HOSTILE, 3)
    assert bar._progress.tasks[0].description == SPELLED_OUT


def test_the_filter_of_the_log_leaves_what_is_printable_as_it_is(caplog):
    arguments = (1, "text", {"a": 1}, ValueError("x"))
    logging.getLogger("pynenc_async").warning("%s %s %s %s", *arguments)
    assert caplog.records[0].args == arguments
