"""The progress bar of a group."""

import asyncio
import os
import subprocess
import sys

import pytest

from pynenc_async import Pynenc
from pynenc_async.invocation.progress_bar import with_progress

pytest.importorskip("rich")


def new_double(gates=None):
    """Return a task that doubles a number, when the gate of that number is open; it cannot double 13."""
    app = Pynenc()

    @app.task
    async def double(number):
        if gates:
            await gates[number].wait()
        if number == 13:
            raise ValueError("unlucky")
        return 2 * number

    return double


def singles(count):
    return [(number,) for number in range(count)]


async def test_results_come_as_members_end_and_the_bar_is_left_complete(capsys):
    gates = [asyncio.Event() for _ in range(3)]
    results = with_progress(new_double(gates).parallelize(singles(3)), "doubling", total=3)
    for number in (2, 0, 1):
        gates[number].set()
        assert await anext(results) == 2 * number
    with pytest.raises(StopAsyncIteration):
        await anext(results)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("doubling ")
    assert err.count("\n") == 1
    assert " 3/3 " in err
    with pytest.raises(StopAsyncIteration):
        await anext(results)
    assert capsys.readouterr().err == ""  # no second bar after the end


async def test_without_a_total_the_bar_counts(capsys):
    results = with_progress(new_double().parallelize(iter(singles(3))))
    assert [await anext(results), await anext(results)] == [0, 2]
    results.close()
    assert " 2/? " in capsys.readouterr().err
    assert [result async for result in results] == [4]
    assert " 3/3 " in capsys.readouterr().err


async def test_break_closes_the_bar_and_cancels_nothing(capsys):
    group = new_double().parallelize(singles(3))
    async for result in with_progress(group, total=3):
        assert result == 0
        break
    assert " 1/3 " in capsys.readouterr().err
    assert await group == [0, 2, 4]


async def test_an_exception_in_the_loop_closes_the_bar(capsys):
    group = new_double().parallelize(singles(3))

    async def invert():
        return [1 / result async for result in with_progress(group, total=3)]

    with pytest.raises(ZeroDivisionError):
        await invert()
    assert " 1/3 " in capsys.readouterr().err


async def test_a_failure_is_raised_and_counted_and_the_next_step_goes_on(capsys):
    results = with_progress(new_double().parallelize([(1,), (13,), (2,)]), total=3)
    assert await anext(results) == 2
    with pytest.raises(ValueError, match="unlucky"):
        await anext(results)
    assert " 2/3 " in capsys.readouterr().err  # closed, so that the traceback stands alone
    assert [result async for result in results] == [4]
    assert " 3/3 " in capsys.readouterr().err


async def test_cancelling_the_reader_closes_the_bar_and_cancels_nothing(capsys):
    gates = [asyncio.Event() for _ in range(2)]
    group = new_double(gates).parallelize(singles(2))
    gates[0].set()
    first_was_read = asyncio.Event()

    async def read():
        async for _ in with_progress(group, total=2):
            first_was_read.set()

    reader = asyncio.create_task(read())
    await first_was_read.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert " 1/2 " in capsys.readouterr().err
    gates[1].set()
    assert await group == [0, 2]


async def test_an_iterator_that_was_never_iterated_shows_nothing(capsys):
    with_progress(new_double().parallelize(singles(3)), "never", total=3)
    assert capsys.readouterr() == ("", "")


async def test_the_description_is_shown_as_it_is(capsys):
    async for _ in with_progress(new_double().parallelize(singles(1)), "[red]step [1/2]", total=1):
        pass
    assert capsys.readouterr().err.startswith("[red]step [1/2] ")


async def test_without_rich_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    group = new_double().parallelize(singles(1))
    with pytest.raises(ImportError, match=r"pip install 'pynenc-async\[progress\]'"):
        with_progress(group)
    assert await group == [0]


@pytest.mark.slow
def test_rich_is_imported_only_on_request():
    check = "import sys, pynenc_async.invocation.progress_bar; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0  # noqa: S603


ON_A_TERMINAL = """
from pynenc_async import Pynenc
from pynenc_async.invocation.progress_bar import with_progress

app = Pynenc()

@app.task
async def double(number: int) -> int:
    return 2 * number

async def main():
    async for result in with_progress(double.parallelize([(1,), (2,), (3,)]), "doubling", total=3):
        print("result", result)
        if result == 4:
            break

app.run(main)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_the_bar_is_drawn_and_the_cursor_comes_back_after_break():
    shown = on_a_terminal()
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # cursor off, cursor on
    assert shown.rindex("2/3") < shown.index("\x1b[?25h")
    assert "result" not in shown


def on_a_terminal():
    """Return what the terminal shows of the program, whose stdout goes elsewhere, and stays there."""
    ours, theirs = os.openpty()
    with (
        os.fdopen(ours, "rb", buffering=0) as terminal,
        subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-c", ON_A_TERMINAL],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        ) as process,
    ):
        os.close(theirs)
        shown = b"".join(read_until_closed(terminal)).decode()
        assert process.stdout.read().split() == b"result 2 result 4".split()
    assert process.returncode == 0
    return shown


def read_until_closed(terminal):
    while True:
        try:
            chunk = terminal.read(1024)
        except OSError:  # how Linux says that the other end of a terminal was closed
            return
        if not chunk:
            return
        yield chunk
