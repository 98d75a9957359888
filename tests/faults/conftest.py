"""What the fault suite shares."""

import pytest
from judge import Scene


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    scene.clear()
