"""A batch is one statement: its changes are made in order, or found to be other than expected, and then each alone."""

import asyncio

import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_tools import NOW, S, end, new, opened, start, temporary_directory, whole_life

from pynenc_async.store.sqlite import statements
from pynenc_async.store.values import RefusalKind, Transition

LARGEST = statements._SIZES[-1]


def play(scene):
    async def main():
        with temporary_directory() as directory:
            async with opened(f"{directory}/store.db") as store:
                await scene(store)
                assert not await store.check()

    asyncio.run(main())


def statuses(store, invocation_id):
    return [step.status for step in store.history(invocation_id)]


def kinds(refusals):
    return [refusal and refusal.kind for refusal in refusals]


def test_one_batch_may_register_begin_and_end_the_same_invocation():
    async def scene(store):
        retry = Transition(
            invocation_id="ada-1", revision=3, steps=((S.RETRY, NOW + 1, 1, "again"),), due_at=NOW + 2, error=b"{}"
        )
        again = start("ada-1", revision=4, attempt=2)
        assert await store.commit([new("ada-1"), start("ada-1"), retry, again, end("ada-1", 6, 2)]) == [None] * 5
        assert statuses(store, "ada-1") == [
            S.REGISTERED,
            S.PENDING,
            S.RUNNING,
            S.RETRY,
            S.PENDING,
            S.RUNNING,
            S.SUCCESS,
        ]
        row = store.peek("ada-1")
        assert (row.revision, row.num_retries, row.attempt, row.due_at, row.error) == (7, 1, 2, None, b"{}")
        assert store.statistics()["transactions"] == 1
        assert await store.counts() == {"success": 1}

    play(scene)


def test_the_order_of_a_batch_is_kept_when_lives_are_mixed():
    async def scene(store):
        lives = [whole_life(f"ada-{number}") for number in range(1, 60)]
        batch = [life[part] for part in range(3) for life in lives[::-1]]
        assert await store.commit(batch) == [None] * len(batch)
        for number in range(1, 60):
            assert statuses(store, f"ada-{number}") == [S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]

    play(scene)


@pytest.mark.parametrize("place", [0, 50, 99])
def test_of_a_batch_only_what_is_stale_is_refused(place):
    async def scene(store):
        names = [f"ada-{number}" for number in range(1, 101)]
        await store.commit([new(name) for name in names])
        batch = [start(name, revision=2 if number == place else 1) for number, name in enumerate(names)]
        expected = [RefusalKind.STALE if number == place else None for number in range(100)]
        assert kinds(await store.commit(batch)) == expected
        for name, refused in zip(names, expected, strict=True):
            assert store.peek(name).revision == (1 if refused else 3)

    play(scene)


def test_what_is_there_already_is_refused_alone_and_stays_as_it_is():
    async def scene(store):
        await store.commit(whole_life("ada-2"))
        batch = [new("ada-1"), new("ada-2", arguments=b'{"a":1}'), *whole_life("ada-3")]
        assert kinds(await store.commit(batch)) == [None, RefusalKind.EXISTS, None, None, None]
        assert store.peek("ada-2").arguments == b"{}"
        assert await store.counts() == {"registered": 1, "success": 2}

    play(scene)


@pytest.mark.parametrize("alone", [True, False])
def test_of_a_runner_that_was_declared_dead_only_what_is_new_is_taken(alone):
    async def main():
        with temporary_directory() as directory:
            path = f"{directory}/store.db"
            async with opened(path) as store, opened(path, "bob") as other:
                await store.commit([new("ada-1"), new("ada-2")])
                store._opened.lease._seconds = -1.0  # as if it had not been renewed for so long
                store._opened.lease.renew()
                await other.recover(["tests.work"], now=NOW)
                if alone:
                    assert kinds(await store.commit([start("ada-1")])) == [RefusalKind.STALE]
                refusals = await store.commit([start("ada-1"), new("ada-3"), end("ada-2", revision=1)])
                assert kinds(refusals) == [RefusalKind.STALE, None, RefusalKind.STALE]
                assert not store.alive
                assert (await other.counts()) == {"registered": 3}
                assert other.peek("ada-1").home == "bob"

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("size", [LARGEST - 3, LARGEST - 2, LARGEST - 1, LARGEST, 2 * LARGEST + 5])
def test_a_batch_may_be_larger_than_the_largest_statement(size):
    async def scene(store):
        await store.commit([new(f"ada-{number}") for number in range(1, size + 1)])
        starts = [start(f"ada-{number}") for number in range(1, size + 1)]
        assert await store.commit(starts) == [None] * size
        stale = [end(f"ada-{number}", revision=3 if number < size else 7) for number in range(1, size + 1)]
        assert kinds(await store.commit(stale)) == [None] * (size - 1) + [RefusalKind.STALE]
        assert await store.counts() == {"success": size - 1, "running": 1}

    play(scene)


def test_large_values_go_with_their_batch():
    async def scene(store):
        large = b'"' + b"x" * 10_000 + b'"'
        batch = [new("ada-1", arguments=large), *whole_life("ada-2"), start("ada-1"), end("ada-1", result=large)]
        assert await store.commit(batch) == [None] * 6
        row = store.peek("ada-1")
        assert (row.arguments, row.result) == (large, large)

    play(scene)


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(st.data())
def test_the_tally_is_exact_whatever_is_mixed_into_a_batch(data):
    async def scene(store):
        revision = dict.fromkeys(range(1, 9), 0)
        ended = set()
        for _ in range(data.draw(st.integers(1, 4))):
            batch, moves = [], []
            for number in data.draw(st.lists(st.sampled_from(sorted(revision)), max_size=12)):
                change = data.draw(st.sampled_from([new, start, end]))
                batch.append(change(f"ada-{number}"))
                moves.append((number, change))
            refusals = await store.commit(batch)
            for (number, change), refusal in zip(moves, refusals, strict=True):
                expected = {new: 0, start: 1, end: 3}[change]
                assert (refusal is None) == (revision[number] == expected)
                if refusal is None:
                    revision[number] = {new: 1, start: 3, end: 4}[change]
                    ended |= {number} if change is end else set()
            ((tally,),) = store._opened.reading.execute("SELECT sum(ended) FROM tally").fetchall()
            assert tally == len(ended)

    play(scene)
