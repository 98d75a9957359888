"""The example service: a real uvicorn process, a real client, and real servers to ask, held back by the tests."""

import queue
import re
import socket
import socketserver
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

PATIENCE = 30  # seconds until a test gives up what it waits for


class Service:
    """The service in a process of its own, on a free port of loopback."""

    def __init__(self):
        command = [sys.executable, "-m", "pynenc_async.examples.service", "--port", "0"]
        self.process = subprocess.Popen(  # noqa: S603  our own module
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._log = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read_log)
        self._reader.start()
        try:
            self.url = re.search(r"http://[\d.:]+", self.wait_for_log("Uvicorn running on"))[0]
        except BaseException:
            self.kill()
            raise

    def _read_log(self):
        for line in self.process.stderr:
            self._log.put(line)
        self._log.put(None)

    def wait_for_log(self, text):
        """Return the next line with this text."""
        passed = []
        while (line := self._log.get(timeout=PATIENCE)) is not None:
            passed.append(line)
            if text in line:
                return line
        pytest.fail(f"the service ended without a word of {text!r}:\n{''.join(passed)}")

    def wait_for_exit(self):
        """Return the exit code."""
        return self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stderr.close()


class Peer:
    """A server that says what the test says, when the test says it."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._accepted = []
        self.server = {"host": "127.0.0.1", "port": self._listener.getsockname()[1]}

    def accept(self):
        """Wait until the service has connected: by then its invocation is under way."""
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE)
        self._accepted.append(connection)
        return connection

    def greets(self, text):
        return {"server": self.server, "text": text}

    def close(self):
        for one in (self._listener, *self._accepted):
            one.close()


@pytest.fixture(scope="session")
def extras():
    """Skip where the extra `fastapi`, or the client, is not installed."""
    for name in ("fastapi", "httpx", "uvicorn"):
        pytest.importorskip(name)


@pytest.fixture(scope="module")  # its reader is a thread, and a thread makes the verdict of a deadlock wait
def service(extras):
    """One service for all tests of a module but those that end it."""
    service = Service()
    try:
        yield service
        service.process.terminate()
        assert service.wait_for_exit() == 0
    finally:
        service.kill()


@pytest.fixture
def own_service(extras):
    """A service that the test may end."""
    service = Service()
    yield service
    service.kill()


@pytest.fixture
def client(service):
    import httpx  # noqa: PLC0415  an extra

    with httpx.Client(base_url=service.url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def new_peer():
    peers = []

    def new():
        peers.append(Peer())
        return peers[-1]

    yield new
    for peer in peers:
        peer.close()


@pytest.fixture
def peer(new_peer):
    return new_peer()


@pytest.fixture
def in_thread():
    with ThreadPoolExecutor(64) as pool:
        yield pool.submit


@pytest.fixture
def greeter():
    """The address of a server that greets everybody at once."""

    class Hello(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"hello\n")

    class Greeter(socketserver.ThreadingTCPServer):
        request_queue_size = 200

    with Greeter(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"host": "127.0.0.1", "port": server.server_address[1]}
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody():
    """An address where nobody listens, and nobody else will while the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield {"host": "127.0.0.1", "port": taken.getsockname()[1]}


@pytest.fixture
def start():
    """Submit, and wait until the invocation is connected; return its id and the connection."""

    def start(client, path, peer):
        submitted = client.post(path, json=peer.server)
        assert submitted.status_code == 202
        return submitted.json()["id"], peer.accept()

    return start


@pytest.fixture
def status_of(client):
    return lambda invocation_id: client.get(f"/invocations/{invocation_id}").json()["status"]


@pytest.fixture
def await_result(client):
    return lambda invocation_id: client.get(f"/invocations/{invocation_id}/result", params={"wait": PATIENCE})
