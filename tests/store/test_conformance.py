"""The conformance suite, over every store that is shipped."""

import pytest
from store_harnesses import HARNESSES

from pynenc_async.testing import STORE_CHECKS


@pytest.mark.parametrize("make_harness", HARNESSES)
@pytest.mark.parametrize("check", STORE_CHECKS, ids=str)
async def test_store(check, make_harness):
    await check(make_harness)
