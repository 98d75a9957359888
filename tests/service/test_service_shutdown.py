"""The end of the example service."""

import signal
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to handle")
def test_sigterm_lets_running_work_finish(own_service, peer, start):
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=own_service.url, timeout=30) as client:
        invocation_id, connection = start(client, "/greetings", peer)
    own_service.process.send_signal(signal.SIGTERM)
    own_service.wait_for_log("Waiting for application shutdown")
    with pytest.raises(httpx.ConnectError):
        httpx.get(own_service.url)
    connection.sendall(b"at last\n")
    assert f"[{invocation_id}]" in own_service.wait_for_log("says 'at last'")
    assert own_service.wait_for_exit() == 0
