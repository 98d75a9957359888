"""Whatever two runners do, the store on SQLite answers as the one in memory does, and holds the same in the end."""

import asyncio
import tempfile
from pathlib import Path

import msgspec
import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async.errors import InvocationStatusError
from pynenc_async.status import INITIAL, RULES, InvocationStatus
from pynenc_async.store.memory import MemoryHub, MemoryStore
from pynenc_async.store.sqlite import SqliteStore
from pynenc_async.store.values import (
    CancelRequest,
    Fire,
    JournalChange,
    NewInvocation,
    Permit,
    Query,
    RatePermit,
    Retention,
    Transition,
    Unique,
)

S = InvocationStatus
RUNNERS = ("ada", "bob")
TASKS = ("m.one", "m.two")
NOW = 1_700_000_000.0
LARGE = b"x" * 5000
SHM = Path("/dev/shm")  # noqa: S108
IN_MEMORY = SHM if SHM.is_dir() else None  # what is asked here is not whether disks are quick

runners = st.sampled_from(RUNNERS)
numbers = st.integers(1, 6)
ids = st.builds("{}-{}".format, runners, numbers)
moments = st.integers(0, 20).map(lambda n: NOW + n)
small = st.sampled_from([b"{}", b'{"a":1}', b'"GROSSES"', LARGE])


@st.composite
def paths(draw, first):
    """A path of the table, or now and then not quite one."""
    statuses = [draw(st.sampled_from(first))]
    while RULES[statuses[-1]].next and draw(st.booleans()):
        statuses.append(draw(st.sampled_from(RULES[statuses[-1]].next)))
    if draw(st.integers(0, 30)) == 0:
        statuses.append(draw(st.sampled_from(list(S))))
    reason = draw(st.sampled_from(["", "", "why", "ü" * 10]))
    moment, attempt = draw(moments), draw(st.integers(0, 2))
    return tuple((status, moment, attempt, reason) for status in statuses)


def optional(values):
    return st.none() | values


uniques = st.builds(
    Unique,
    key=st.sampled_from(["k1", "k2"]),
    until_started=st.booleans(),
    until=optional(moments),
    replace=st.booleans(),
)
news = st.builds(
    NewInvocation,
    invocation_id=ids,
    task_id=st.sampled_from(TASKS),
    arguments=small,
    steps=paths(INITIAL),
    parent_invocation_id=optional(ids),
    priority=st.integers(-1, 1),
    due_at=optional(moments),
    max_crashes=st.integers(1, 2),
    options=st.sampled_from([b"", b'{"timeout":1}']),
    taken=st.booleans(),
    unique=optional(uniques),
    fire=optional(st.builds(Fire, st.just("s"), moments)),
)
plain_news = st.builds(
    NewInvocation,
    invocation_id=ids,
    task_id=st.sampled_from(TASKS),
    arguments=small,
    steps=paths((S.REGISTERED,)),
    taken=st.booleans(),
)
permits = st.lists(
    st.builds(Permit, st.sampled_from(["p", "q"]), st.integers(1, 2)), max_size=2, unique_by=lambda p: p.name
)
rates = st.builds(RatePermit, st.sampled_from(["r", "s"]), st.just(3.0), st.integers(1, 2), st.sampled_from([0.0, 6.0]))


def at_its_own_moment(change):
    """No two are registered at one moment: which of them is claimed first, is not promised."""
    runner, _, number = change.invocation_id.partition("-")
    later = (RUNNERS.index(runner) * 10 + int(number)) / 1024
    steps = tuple((status, moment + later, attempt, reason) for status, moment, attempt, reason in change.steps)
    return msgspec.structs.replace(change, steps=steps)


class Model:
    """Both stores, asked the same."""

    def __init__(self, path):
        self.path = path
        self.hub = MemoryHub()
        self.sides = {}
        self.runner_ids = {}
        self.now = NOW

    async def open(self):
        for name in RUNNERS:
            await self.open_one(name)

    async def open_one(self, name):
        pair = MemoryStore(self.hub), SqliteStore(self.path)
        for store in pair:
            await store.open(name, lease_seconds=600)
        self.sides[name] = pair
        self.runner_ids[name] = name

    async def close(self):
        for pair in self.sides.values():
            for store in pair:
                await store.close()

    async def both(self, name, ask):
        results = []
        for store in self.sides[name]:
            try:
                results.append(await ask(store))
            except InvocationStatusError:
                results.append(InvocationStatusError)
        assert results[1] == results[0]
        return results[0]

    async def commit(self, name, draw, kinds):
        changes = [self.change(name, kind, draw) for kind in kinds]
        await self.both(name, lambda store: store.commit(changes))

    def change(self, name, kind, draw):
        if kind in ("plain", "new"):
            return at_its_own_moment(draw(plain_news if kind == "plain" else news))
        invocation_id = draw(ids)
        if kind == "journal":
            present = len(self.hub.tables.journals.get(invocation_id, ()))
            entries = tuple(draw(st.lists(small, max_size=2)))
            return JournalChange(
                invocation_id=invocation_id,
                index=draw(st.integers(0, present)),
                entries=entries,
                names=tuple(draw(st.lists(optional(ids), max_size=len(entries)))),
            )
        if kind == "cancel":
            return CancelRequest(invocation_id=invocation_id, reason=draw(st.sampled_from(["one", "two"])))
        return self.transition(name, kind, invocation_id, draw)

    def transition(self, name, kind, invocation_id, draw):
        home = self.runner_ids[name]
        mine = [row for row in self.hub.tables.invocations.values() if row.home == home and row.ended_at is None]
        row = draw(st.sampled_from(mine)) if mine and draw(st.integers(0, 4)) else None
        row = row or self.hub.tables.invocations.get(invocation_id)
        following = RULES[row.status].next if row else ()
        steps = draw(paths(following or tuple(S)))
        rare = kind == "start"
        return Transition(
            invocation_id=row.invocation_id if row else invocation_id,
            revision=row.revision - (draw(st.integers(0, 9)) == 0) if row else 1,
            steps=steps,
            due_at=draw(optional(moments)),
            result=draw(small) if steps[-1][0] is S.SUCCESS else None,
            error=draw(small) if steps[-1][0] is S.FAILED else None,
            permits=tuple(draw(permits)) if rare else (),
            rate=draw(optional(rates)) if rare else None,
            taken=draw(st.booleans()),
        )

    async def step(self, draw):
        # Time goes on: what has come due in SQLite stays so, should the clock be set back.
        self.now = max(self.now, draw(moments))
        name, now, tasks = draw(runners), self.now, draw(st.sampled_from([TASKS, TASKS[:1]]))
        match draw(st.sampled_from(["commit"] * 6 + ["plain"] * 3 + ["claim", "claim", "recover", "purge", "reopen"])):
            case "commit":
                kinds = draw(
                    st.lists(st.sampled_from(["plain", "new", "go", "start", "journal", "cancel"]), max_size=5)
                )
                await self.commit(name, draw, kinds)
            case "plain":
                await self.commit(name, draw, draw(st.lists(st.sampled_from(["plain", "go", "go"]), max_size=6)))
            case "claim":
                limit = draw(st.integers(1, 3))
                only = draw(optional(st.lists(ids, max_size=6)))
                claimed = await self.both(name, lambda store: store.claim(tasks, limit, now=now, only=only))
                assert all(row.taken for row in claimed)
            case "recover":
                await self.both(name, lambda store: recovered(store, tasks, now))
            case "purge":
                retention = Retention(count=draw(optional(st.integers(0, 2))), seconds=draw(optional(st.just(5.0))))
                await self.both(name, lambda store: store.purge(retention, now=now))
            case "reopen":
                for store in self.sides.pop(name):
                    await store.close()
                fresh = f"{name}{len(self.hub._leases)}"
                await self.open_one(fresh)
                self.sides[name] = self.sides.pop(fresh)
                self.runner_ids[name] = fresh
        await self.compare(draw)

    async def compare(self, draw):
        name, now = draw(runners), self.now
        rows = self.hub.tables.invocations
        for invocation_id in (f"{runner}-{number}" for runner in RUNNERS for number in range(1, 7)):
            memory, sqlite = (store.peek(invocation_id) for store in self.sides[name])
            assert sqlite == memory
            memory, sqlite = (store.history(invocation_id) for store in self.sides[name])
            assert sqlite == memory
        await self.both(name, lambda store: store.counts())
        await self.both(name, lambda store: store.backlog(TASKS, now=now))
        await self.both(name, requests)
        for key in ("k1", "k2"):
            memory, sqlite = (store.standing(key, now=now) for store in self.sides[name])
            assert sqlite == memory
        for invocation_id in rows:
            await self.both(name, lambda store, one=invocation_id: store.journal(one))
        query = Query(
            statuses=tuple(draw(st.lists(st.sampled_from(list(S)), max_size=2))),
            task_ids=tuple(draw(st.lists(st.sampled_from([*TASKS, "m.three"]), max_size=1))),
            parent_invocation_id=draw(optional(ids)),
            home=draw(optional(runners)),
            registered_from=draw(optional(moments)),
            ended_from=draw(st.none() | st.none() | moments),
            ended_before=draw(optional(moments)),
            text=draw(st.sampled_from(["", "", "größes", "GROSS", "_", "%", "one"])),
            newest_first=draw(st.booleans()),
            limit=draw(st.integers(1, 3)),
        )
        await self.both(name, lambda store: all_pages(store, query))


async def recovered(store, tasks, now):
    found = await store.recover(tasks, now=now)
    return set(found.runners), found.adopted, found.interrupted, set(found.poisoned), found.parked


async def requests(store):
    return {(request.invocation_id, request.reason) for request in await store.cancel_requests()}


async def all_pages(store, query):
    found, after = [], None
    while True:
        page = await store.find(
            Query(**{f: getattr(query, f) for f in query.__struct_fields__ if f != "after"}, after=after)
        )
        found += page.invocations
        if page.next is None:
            return found
        after = page.next


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(st.data())
def test_sqlite_does_what_memory_does(data):
    async def play():
        with tempfile.TemporaryDirectory(dir=IN_MEMORY) as directory:
            model = Model(Path(directory) / "store.db")
            await model.open()
            try:
                for _ in range(data.draw(st.integers(1, 8))):
                    await model.step(data.draw)
                assert not await model.sides[RUNNERS[0]][1].check()
            finally:
                await model.close()

    asyncio.run(play())
