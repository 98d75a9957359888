"""The file of a lease may be cleaned away beside the database: that is no death, and its runner puts it back."""

from pathlib import Path

import pytest
from sqlite_tools import NOW, TASK, new, opened, start

from pynenc_async.store.sqlite import lease


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "store.db")


async def test_a_runner_puts_back_the_file_of_its_lease(path):
    async with opened(path, "ada", lease_seconds=600) as ada:
        name = ada._opened.lease.name
        for _ in range(2):
            Path(f"{path}-runner-{name}").unlink(missing_ok=True)
            ada._opened.lease.renew()
            assert not lease.is_dead(path, name)
        Path(f"{path}-runner-{name}").unlink(missing_ok=True)
        Path(f"{path}-runner-{name}").touch()  # somebody else's
        ada._opened.lease.renew()
        assert not lease.is_dead(path, name)
    assert not list(Path(path).parent.glob("*-runner-*"))


async def test_what_a_runner_has_is_not_taken_over_because_its_file_is_gone(path):
    async with opened(path, "ada", lease_seconds=600) as ada, opened(path, "bob", lease_seconds=600) as bob:
        await ada.commit([new("ada-1"), start("ada-1")])
        Path(f"{path}-runner-{ada._opened.lease.name}").unlink()
        assert (await bob.recover([TASK], now=NOW)).adopted == 0
        assert ada.alive


def test_what_is_not_put_back_in_time_was_that_of_a_dead_runner(path):
    assert not lease.Others(path, 600.0).is_dead("gone")
    assert lease.Others(path, 0.0).is_dead("gone")


def test_what_is_no_name_of_a_lease_belongs_to_nobody_who_lives(path):
    assert lease.Others(path, 600.0).is_dead("../../etc/passwd")
