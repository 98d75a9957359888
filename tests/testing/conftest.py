"""What the tests of the test tools share."""

import pytest

from pynenc_async.testing import autojump, thread_turns


@pytest.fixture
def whole_pieces(monkeypatch):
    """What a thread does for the loop is waited for however slow the machine is: then the seed alone decides."""
    monkeypatch.setattr(thread_turns, "MOMENT", 30.0)


@pytest.fixture
def patience_with_strangers(monkeypatch):
    """When an uncounted thread wakes the loop depends on the machine."""
    monkeypatch.setattr(autojump, "STRANGERS_GRACE", 30.0)
