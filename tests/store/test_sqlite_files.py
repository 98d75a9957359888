"""What is opened: a store of ours, whole, of this version; all else is refused, and left as it is."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest
from sqlite_tools import TASK, new, opened, run_python, temporary_directory, whole_life

from pynenc_async.errors import StoreError
from pynenc_async.store.sqlite import Durability, SqliteOptions, SqliteStore, connecting, schema, store_from_url


@pytest.fixture
def path():
    with temporary_directory() as directory:
        yield f"{directory}/jobs #1?.db"  # what must be quoted somewhere


def fill(path, count=20):
    async def main():
        async with opened(path) as store:
            for number in range(1, count + 1):
                await store.commit(whole_life(f"ada-{number}", arguments=b'{"x":"%s"}' % (b"y" * 500)))

    asyncio.run(main())


def open_again(path):
    async def main():
        async with opened(path, "bob") as store:
            return await store.counts()

    return asyncio.run(main())


def refused(path, match):
    before = content(path)
    with pytest.raises(StoreError, match=match) as caught:
        open_again(path)
    assert path in str(caught.value)
    assert not caught.value.temporary
    assert content(path) == before, "a file that is refused stays as it is"


def content(path):
    return Path(path).read_bytes()


def test_a_store_is_made_where_there_is_none_and_found_again(path):
    fill(path)
    assert open_again(path) == {"success": 20}


def test_nothing_but_the_file_is_left_when_all_have_closed(path):
    fill(path)
    assert list(Path(path).parent.iterdir()) == [Path(path)]


def test_a_link_to_a_file_that_is_not_there_yet_leads_to_where_it_is_made(path):
    link = Path(f"{path}-link")
    link.symlink_to(path)
    fill(str(link))
    assert link.is_symlink()
    assert open_again(path) == {"success": 20}


def test_what_is_no_plain_file_is_refused(path):
    os.mkfifo(path)
    with pytest.raises(StoreError, match="no plain file"):
        open_again(path)


def test_an_empty_file_is_not_taken_for_an_empty_store(path):
    Path(path).touch()
    refused(path, r"the file is empty \(0 bytes\)")


def test_a_text_file_is_refused(path):
    Path(path).write_text("this is my diary\n" * 1000)
    refused(path, "no SQLite database")


def test_a_database_of_another_program_is_refused(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invocation (id)")
    connection.close()
    refused(path, "belongs to another program")


def test_a_newer_version_is_refused(path):
    fill(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    refused(path, f"has version {schema.VERSION + 1}, this pynenc_async knows 1 to {schema.VERSION}")


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.01, 0.3, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused(path, part):
    fill(path)
    with Path(path).open("r+b") as file:
        file.truncate(max(200, int(len(content(path)) * part)))
    refused(path, "damaged|cut off")


@pytest.mark.slow
@pytest.mark.parametrize("missing", [1, 100, 4095])
@pytest.mark.parametrize("count", [20, 6000], ids=["small", "large"])  # of a large one, not every page is looked at
def test_a_file_that_was_cut_off_within_its_last_page_is_refused(path, count, missing):
    async def main():
        async with opened(path) as store:
            names = [f"ada-{number}" for number in range(1, count + 1)]
            await store.commit([new(name, arguments=b'{"x":"%s"}' % (b"y" * 1400)) for name in names])

    asyncio.run(main())
    with Path(path).open("r+b") as file:
        file.truncate(len(content(path)) - missing)
    refused(path, "cut off: 1 of its .* pages are missing")


@pytest.mark.slow
def test_a_file_that_was_cut_off_beside_a_log_of_changes_is_refused(path):
    """SQLite itself believes the log, and finds out when it needs one of the pages that are gone."""
    fill(path)
    run_python(  # a process that dies leaves the log behind
        """
        async def main():
            store = SqliteStore(sys.argv[1])
            await store.open("bob")
            await store.commit([new("bob-1")])
            os._exit(0)
        asyncio.run(main())
        """,
        path,
    )
    assert len(content(path + "-wal")) > 0
    with Path(path).open("r+b") as file:
        file.truncate(len(content(path)) // 2)
    refused(path, "cut off: .* pages are missing")


def test_damaged_pages_are_found(path):
    fill(path, 200)
    with Path(path).open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096 * 10)
    refused(path, "damaged")


def test_a_log_without_its_file_is_not_thrown_away(path):
    Path(f"{path}-wal").write_bytes(b"x" * 5000)
    with pytest.raises(StoreError, match=r"the file is missing, but .*-wal with changes"):
        open_again(path)
    assert len(content(path + "-wal")) == 5000


def test_a_directory_and_a_missing_one_are_named(path):
    with temporary_directory() as directory:
        with pytest.raises(StoreError, match="this is a directory"):
            open_again(directory)
        with pytest.raises(StoreError, match=f"no directory {directory}/missing; make it first"):
            open_again(f"{directory}/missing/x.db")


def test_a_missing_table_is_named(path):
    fill(path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE bucket")
    connection.close()
    with pytest.raises(StoreError, match="it has no table bucket"):
        open_again(path)


def test_many_open_a_new_store_at_once(path):
    async def main():
        stores = [SqliteStore(path) for _ in range(5)]
        await asyncio.gather(*(store.open(f"r{number}") for number, store in enumerate(stores)))
        for number, store in enumerate(stores):
            assert await store.commit([new(f"r{number}-1")]) == [None]
        assert await stores[0].counts() == {"registered": 5}
        for store in stores:
            await store.close()

    asyncio.run(main())


# -- versions ----------------------------------------------------------------------------------------------------------

STEPS = [
    ["CREATE TABLE a (x INTEGER) STRICT"],
    ["ALTER TABLE a ADD COLUMN y TEXT", "UPDATE a SET y = 'was ' || x"],
    ["CREATE TABLE b (z) STRICT, WITHOUT ROWID"],  # does not work: there is no primary key
]


def version(connection):
    return connecting.scalar(connection, "PRAGMA user_version")


def test_an_older_file_is_brought_to_the_present_version_with_what_is_in_it():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connecting.migrate(connection, STEPS[:1])
    connection.execute("INSERT INTO a VALUES (7)")
    connecting.migrate(connection, STEPS[:2])
    assert version(connection) == 2
    assert connection.execute("SELECT * FROM a").fetchall() == [(7, "was 7")]
    connection.close()


def test_a_migration_that_fails_changes_nothing():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connecting.migrate(connection, STEPS[:1])
    with pytest.raises(sqlite3.OperationalError):
        connecting.migrate(connection, STEPS)
    assert version(connection) == 1
    assert connection.execute("SELECT name FROM pragma_table_info('a')").fetchall() == [("x",)]
    connection.close()


def test_the_check_of_the_status_comes_from_the_table_of_statuses(path):
    fill(path, 1)
    connection = sqlite3.connect(path)
    for statement in (
        "UPDATE invocation SET status = 99",
        "UPDATE invocation SET status = 7",  # RUNNING, and has ended
        "UPDATE invocation SET ended_at = NULL",
        "UPDATE invocation SET backlog = 0",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
    connection.close()


def test_the_view_shows_invocations_to_people(path):
    fill(path, 1)
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT invocation_id, task_id, status, home, result FROM invocations").fetchone()
    connection.close()
    assert row == ("ada-1", TASK, "success", "ada", "null")


@pytest.mark.slow
def test_where_there_is_no_room_for_the_log_it_is_brought_in_and_begins_anew(path):
    code = """
    import resource, signal
    from pynenc_async.errors import StoreError

    async def main():
        async with opened(sys.argv[1]) as store:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
            refused = 0
            for number in range(1, 301):
                while True:
                    try:
                        await store.commit([new(f"ada-{number}")])
                        break
                    except StoreError:
                        refused += 1
                        await asyncio.sleep(0.01)
            say(refused > 0, await store.counts())

    asyncio.run(main())
    """
    assert run_python(code, path) == "True {'registered': 300}\n"


# -- URLs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:////var/lib/jobs.db", "/var/lib/jobs.db"),
        ("sqlite:///C:/data/jobs.db", "C:/data/jobs.db"),
        ("sqlite:///a%20b%23c%3Fd.db", "a b#c?d.db"),
        ("sqlite:///../jobs.db", "../jobs.db"),
    ],
)
def test_a_url_names_a_file(url, expected):
    assert SqliteOptions.from_url(url).path == str(Path(expected).absolute())


def test_a_url_says_how():
    options = SqliteOptions.from_url("sqlite:///jobs.db?durability=full&lease=2.5&busy_timeout=1")
    assert options == SqliteOptions(path="jobs.db", durability=Durability.FULL, lease_seconds=2.5, busy_timeout=1.0)
    assert store_from_url("sqlite:///jobs.db").options == SqliteOptions(path="jobs.db")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("sqlite://", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:jobs.db", "three slashes"),
        ("sqlite://host/jobs.db", "a file has no host, 'host' was found"),
        ("postgresql:///jobs.db", "no URL of a SQLite store"),
        ("sqlite:///:memory:", "write memory://"),
        ("sqlite:///jobs.db#1", "%23"),
        (
            "sqlite:///jobs.db?durabilty=full",
            "unknown parameter 'durabilty'; there are durability, lease, busy_timeout",
        ),
        ("sqlite:///jobs.db?durability=high", "'durability' must be normal or full, not 'high'"),
        ("sqlite:///jobs.db?lease=soon", "'lease' must be a number of seconds.*'soon'"),
        ("sqlite:///jobs.db?lease=0", "'lease' must be a number of seconds above 0"),
        ("sqlite:///jobs.db?lease=nan", "'lease' must be"),
        ("sqlite:///jobs.db?busy_timeout=-1", "'busy_timeout' must be"),
        ("sqlite:///jobs.db?lease=1&lease=2", "'lease' is there twice"),
    ],
)
def test_a_wrong_url_is_told_what_is_wrong_and_what_would_be_right(url, match):
    with pytest.raises(StoreError, match=match):
        SqliteOptions.from_url(url)


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_durability_is_what_sqlite_is_told(path, durability, synchronous):
    async def main():
        async with opened(SqliteOptions(path=path, durability=Durability(durability))) as store:
            assert connecting.scalar(store._opened.session.connection, "PRAGMA synchronous") == synchronous

    asyncio.run(main())
