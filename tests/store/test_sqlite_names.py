"""Names of files and directories that are no text, or hold what a URL or a terminal would understand."""

import os
from pathlib import Path

import pytest
from sqlite_tools import new, opened, temporary_directory, whole_life

from pynenc_async import Pynenc
from pynenc_async.errors import StoreError
from pynenc_async.printable import printable
from pynenc_async.store.sqlite import SqliteOptions, SqliteStore

NAMES = [b"caf\xe9", b"\xff\xfe", "größer ☃".encode(), b"a b%20c?d#e'f\"g", b"line\nbreak\ttab\x1b[31m"]


@pytest.fixture(params=NAMES, ids=repr)
def directory(request):
    with temporary_directory() as above:
        directory = os.path.join(above, os.fsdecode(request.param))  # noqa: PTH118
        Path(directory).mkdir()
        yield directory


def quoted(path):
    """Write every byte of a path as a URL may write it."""
    return "".join(f"%{byte:02X}" for byte in os.fsencode(path))


async def test_a_store_lives_in_a_directory_of_any_name(directory):
    path = f"{directory}/jobs.db"
    async with opened(path) as store, opened(path, "bob") as other:
        await store.commit(whole_life("ada-1"))
        await store.backup(f"{directory}/copy.db")
        assert await other.counts() == {"success": 1}
        assert store.statistics()["bytes"] > 0
    async with opened(os.fsencode(f"{directory}/copy.db")) as copy:
        assert copy.peek("ada-1").status == "success"
        with pytest.raises(StoreError) as caught:
            await copy.backup(path)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("suffix", ["", "?lease=7"])
def test_a_url_names_a_file_by_its_bytes(directory, suffix):
    path = f"{directory}/jobs.db"
    assert SqliteOptions.from_url(f"sqlite:///{quoted(path)}{suffix}").path == path


async def test_an_app_runs_on_a_file_of_any_name_and_can_be_shown(directory):
    app = Pynenc(f"sqlite:///{quoted(f'{directory}/jobs.db')}")

    @app.task
    async def job(x: int) -> int:
        return x

    async with app:
        assert await job(1) == 1
        assert str(app).isprintable()
    assert [found.name for found in Path(directory).iterdir()] == ["jobs.db"]


def test_an_unquoted_name_that_is_no_utf8_is_taken_as_it_is():
    name = os.fsdecode(b"/caf\xe9/jobs.db")
    assert SqliteOptions.from_url(f"sqlite:///{name}").path == name


@pytest.mark.parametrize("letter", "\t\n\r")
def test_what_a_url_cannot_hold_is_refused_and_not_dropped(letter):
    with pytest.raises(StoreError, match="%09, %0A or %0D"):
        SqliteOptions.from_url(f"sqlite:////tmp/a{letter}b.db")


def test_what_is_no_name_in_any_encoding_is_refused():
    with pytest.raises(StoreError, match="no file has the name"):
        SqliteStore("/tmp/\ud800.db")  # noqa: S108  never made


async def test_errors_about_a_file_obey_no_terminal(directory):
    with pytest.raises(StoreError) as caught:
        async with opened(directory) as store:
            await store.commit([new("ada-1")])
    assert printable(directory) in str(caught.value)
    assert str(caught.value).isprintable()
