"""What the tests of the durable runtime share."""

import pytest
from durable_world import World


@pytest.fixture
def world():
    return World()
