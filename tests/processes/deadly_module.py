"""A module whose import kills every process but the one of the tests."""

import os

_ALIVE = os.environ.setdefault("DEADLY_MODULE_SPARES", str(os.getpid()))
if str(os.getpid()) != _ALIVE:
    os._exit(9)


def work():
    pass
