"""Apps that share a store in memory, in virtual time: they crash, start again, and take over from one another."""

from pynenc_async import Pynenc
from pynenc_async.store.memory import MemoryHub, MemoryStore


class World:
    """A store in memory, and the apps on it. `stores` are those that its apps have opened, the latest last."""

    def __init__(self):
        self.hub = MemoryHub()
        self.stores = []

    def app(self, *, before=None, after=None, latency=None, **options):
        return self.app_on(MemoryStore, before=before, after=after, latency=latency, **options)

    def app_on(self, kind, *, before=None, after=None, latency=None, **options):
        """Return an app whose stores are of this kind."""

        def new_store():
            self.stores.append(kind(self.hub, before=before, after=after, latency=latency))
            return self.stores[-1]

        return Pynenc(store=new_store, **options)

    def row(self, invocation_id):
        return self.hub.tables.invocations[invocation_id]

    def rows(self):
        return list(self.hub.tables.invocations.values())

    def path(self, invocation_id):
        return [step.status for step in self.hub.tables.histories[invocation_id]]
