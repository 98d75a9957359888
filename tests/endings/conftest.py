"""What the tests of endings share."""

import pytest

from pynenc_async import Pynenc
from pynenc_async.store.memory import MemoryHub, MemoryStore


@pytest.fixture(params=["memory", "stored"])
def new_app(request):
    """Return what makes an app that keeps its invocations in memory alone, or one that has a store."""
    hub = MemoryHub()

    def new(**options):
        if request.param == "stored":
            options["store"] = lambda: MemoryStore(hub)
        return Pynenc(**options)

    return new
