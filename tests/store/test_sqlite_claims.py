"""What is claimed is what was registered, to the last bit."""

import asyncio

import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_tools import S, opened, temporary_directory

from pynenc_async.store.values import CancelRequest, NewInvocation

moments = st.floats(allow_nan=False, allow_infinity=False)
contents = st.builds(
    bytes.__mul__, st.binary(max_size=20), st.sampled_from([1, 1000])
)  # kept in the row, and out of it
registrations = st.builds(
    NewInvocation,
    invocation_id=st.just(""),
    task_id=st.sampled_from(["m.one", "m.two"]),
    arguments=contents,
    options=contents,
    steps=st.tuples(st.tuples(st.just(S.REGISTERED), moments, st.just(0), st.text(max_size=3))),
    priority=st.integers(-(2**31), 2**31),
    due_at=st.none() | moments.filter(lambda moment: moment < 1e300),
    deadline_at=st.none() | moments,
    max_crashes=st.integers(1, 9),
    taken=st.just(False),
)


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(st.lists(registrations, min_size=1, max_size=12))
def test_what_is_claimed_is_what_was_registered(registered):
    async def main():
        names = [f"ada-{number}" for number in range(1, len(registered) + 1)]
        changes = [
            NewInvocation(
                **{f: getattr(one, f) for f in one.__struct_fields__ if f != "invocation_id"}, invocation_id=n
            )
            for one, n in zip(registered, names, strict=True)
        ]
        with temporary_directory() as directory:
            async with opened(f"{directory}/store.db") as store:
                assert await store.commit(changes) == [None] * len(changes)
                claimed = await store.claim(["m.one", "m.two"], 100, now=1e300)
                assert await store.claim(["m.one", "m.two"], 100, now=1e300) == []
                order = sorted(
                    changes, key=lambda one: (-one.priority, one.steps[0][1], names.index(one.invocation_id))
                )
                assert [row.invocation_id for row in claimed] == [one.invocation_id for one in order]
                for one, row in zip(order, claimed, strict=True):
                    assert row.registered_at == one.steps[0][1]
                    for field in (
                        "task_id",
                        "arguments",
                        "options",
                        "priority",
                        "due_at",
                        "deadline_at",
                        "max_crashes",
                    ):
                        assert getattr(row, field) == getattr(one, field)
                    assert row.taken
                    assert row == store.peek(row.invocation_id)

    asyncio.run(main())


@pytest.mark.slow
def test_what_two_ask_for_at_once_is_claimed_by_one():
    def new(number):
        steps = ((S.REGISTERED, float(number), 0, ""),)
        return NewInvocation(invocation_id=f"ada-{number}", task_id="m.one", arguments=b"{}", steps=steps, taken=False)

    async def main():
        with temporary_directory() as directory:
            async with opened(f"{directory}/store.db") as store:
                for first in range(1, 200, 10):
                    await store.commit([new(number) for number in range(first, first + 10)])
                    claims = await asyncio.gather(*(store.claim(["m.one"], 7, now=1e9) for _ in range(4)))
                    claims.append(await store.claim(["m.one"], 100, now=1e9))
                    found = [row.invocation_id for rows in claims for row in rows]
                    assert sorted(found) == sorted(f"ada-{number}" for number in range(first, first + 10))

    asyncio.run(main())


def test_what_is_cancelled_meanwhile_is_claimed_with_the_request_or_not_at_all():
    async def main():
        with temporary_directory() as directory:
            async with opened(f"{directory}/store.db") as store:
                for number in range(1, 100):
                    steps = ((S.REGISTERED, 1.0, 0, ""),)
                    name = f"ada-{number}"
                    one = NewInvocation(invocation_id=name, task_id="m.one", arguments=b"{}", steps=steps, taken=False)
                    await store.commit([one])
                    cancel = CancelRequest(invocation_id=name, reason="no")
                    claimed, _ = await asyncio.gather(store.claim(["m.one"], 1, now=1e9), store.commit([cancel]))
                    if not claimed:
                        claimed = await store.claim(["m.one"], 1, now=1e9)
                        assert claimed[0].cancel_reason == "no"
                    assert [row.invocation_id for row in claimed] == [name]

    asyncio.run(main())
