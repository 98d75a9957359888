"""The example service: a real uvicorn process, a real client, and real servers to ask, held back by the tests."""

import json
import queue
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

PATIENCE = 30  # seconds until a test that waits for something real gives up


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
        self.url = re.search(r"http://[\d.:]+", self.wait_for_log("Uvicorn running on"))[0]

    def _read_log(self):
        for line in self.process.stderr:
            self._log.put(line)

    def wait_for_log(self, text):
        while text not in (line := self._log.get(timeout=PATIENCE)):
            pass
        return line

    def wait_for_exit(self):
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self._reader.join()
            self.process.stderr.close()


class Peer:
    """A server that says what the test says, when the test says it."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._accepted = []
        self.port = self._listener.getsockname()[1]
        self.server = {"host": "127.0.0.1", "port": self.port}

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


@pytest.fixture(scope="module")
def service():
    service = Service()
    yield service
    service.process.terminate()
    assert service.wait_for_exit() == 0


@pytest.fixture
def client(service):
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
def nobody(peer):
    """An address where nobody listens."""
    peer.close()
    return peer.server


def status_of(client, invocation_id):
    return client.get(f"/invocations/{invocation_id}").json()["status"]


def start(client, path, peer):
    """Submit, and wait until the invocation is connected."""
    submitted = client.post(path, json=peer.server)
    assert submitted.status_code == 202
    return submitted.json()["id"], peer.accept()


# -- handlers that submit and wait -------------------------------------------------------------------------------------


def test_a_def_handler_submits_and_waits_in_its_thread(client):
    response = client.get("/addresses/127.0.0.1")
    assert (response.status_code, response.json()) == (200, ["127.0.0.1"])


def test_an_async_handler_submits_and_awaits(client, peer, in_thread):
    asked = in_thread(client.get, "/greetings", params=peer.server)
    peer.accept().sendall(b"220 ready\r\n")
    assert asked.result().json() == peer.greets("220 ready")


def test_many_requests_at_once(client, greeter, in_thread):
    greetings = [in_thread(client.get, "/greetings", params=greeter) for _ in range(150)]
    addresses = [in_thread(client.get, "/addresses/127.0.0.1") for _ in range(150)]
    assert {one.result().json()["text"] for one in greetings} == {"hello"}
    assert {one.result().text for one in addresses} == {'["127.0.0.1"]'}


# -- accepted now, asked for later -------------------------------------------------------------------------------------


def test_202_then_the_status_then_the_result(client, peer):
    submitted = client.post("/greetings", json=peer.server)
    assert submitted.status_code == 202
    connection, location = peer.accept(), submitted.headers["Location"]
    assert (client.get(location).status_code, client.get(location).json()["status"]) == (202, "resumed")
    connection.sendall(b"hello\n")
    result = client.get(location, params={"wait": PATIENCE})
    assert (result.status_code, result.json()) == (200, peer.greets("hello"))
    story = client.get(f"/invocations/{submitted.json()['id']}").json()
    assert [step["status"] for step in story["history"]] == [
        "registered", "pending", "running", "paused", "resumed", "success",
    ]  # fmt: skip


def test_a_request_can_wait_for_the_result(client, peer, in_thread):
    invocation_id, connection = start(client, "/greetings", peer)
    waiting = in_thread(client.get, f"/invocations/{invocation_id}/result", params={"wait": PATIENCE})
    connection.sendall(b"hello\n")
    assert waiting.result().json() == peer.greets("hello")


def test_invocations_by_status(client, peer):
    invocation_id, connection = start(client, "/greetings", peer)

    def ids(**params):
        return {invocation["id"] for invocation in client.get("/invocations", params=params).json()}

    assert ids(status="resumed") == {invocation_id}
    assert invocation_id in ids()
    assert invocation_id not in ids(status="success")
    connection.sendall(b"hello\n")
    assert client.get(f"/invocations/{invocation_id}/result", params={"wait": PATIENCE}).status_code == 200
    assert invocation_id in ids(status="success")
    assert client.get("/invocations", params={"status": "asleep"}).status_code == 422


@pytest.mark.parametrize("path", ["", "/result", "/lines"])
def test_an_unknown_id_is_404(client, path):
    response = client.get(f"/invocations/nonsense{path}")
    assert (response.status_code, response.json()["error"]) == (404, "InvocationNotFoundError")
    assert client.delete("/invocations/nonsense").status_code == 404


def test_what_the_task_raised_is_the_answer(client, nobody):
    direct = client.get("/greetings", params=nobody)
    assert (direct.status_code, direct.json()["error"]) == (502, "ConnectionRefusedError")
    invocation_id = client.post("/greetings", json=nobody).json()["id"]
    later = client.get(f"/invocations/{invocation_id}/result", params={"wait": PATIENCE})
    assert (later.status_code, later.json()["error"]) == (502, "ConnectionRefusedError")
    assert status_of(client, invocation_id) == "failed"


# -- cancelling --------------------------------------------------------------------------------------------------------


def test_delete_cancels_and_answers_when_the_work_has_ended(client, peer):
    invocation_id, connection = start(client, "/greetings", peer)
    cancelled = client.delete(f"/invocations/{invocation_id}", params={"reason": "too slow"})
    assert cancelled.json() == {"outcome": "stopped"}
    assert connection.recv(1) == b""  # the body has cleaned up
    result = client.get(f"/invocations/{invocation_id}/result")
    assert (result.status_code, result.json()["error"]) == (409, "InvocationCancelledError")
    assert result.json()["message"].endswith("too slow")


def test_delete_says_that_the_work_was_finished_already(client, peer):
    invocation_id, connection = start(client, "/greetings", peer)
    connection.sendall(b"hello\n")
    client.get(f"/invocations/{invocation_id}/result", params={"wait": PATIENCE})
    assert client.delete(f"/invocations/{invocation_id}").json() == {"outcome": "finished"}
    assert status_of(client, invocation_id) == "success"


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_group_is_streamed_as_its_members_end(client, new_peer):
    peers = [new_peer() for _ in range(3)]
    with client.stream("POST", "/greetings/batch", json=[peer.server for peer in peers]) as response:
        connections, outcomes = [peer.accept() for peer in peers], map(json.loads, response.iter_lines())
        for number in (2, 0, 1):  # each is held back until the one before has arrived
            connections[number].sendall(b"I am %d\n" % number)
            assert next(outcomes) == peers[number].greets(f"I am {number}")
        assert list(outcomes) == []


def test_a_failure_is_a_line_of_the_stream_of_its_group(client, nobody, new_peer):
    peer = new_peer()
    with client.stream("POST", "/greetings/batch", json=[nobody, peer.server]) as response:
        outcomes = map(json.loads, response.iter_lines())
        failed = next(outcomes)
        assert (failed["server"], failed["error"]) == (nobody, "ConnectionRefusedError")
        peer.accept().sendall(b"hello\n")
        assert list(outcomes) == [peer.greets("hello")]


def test_the_items_of_a_task_are_streamed_to_every_reader_from_the_start(client, peer):
    invocation_id, connection = start(client, "/listeners", peer)
    path = f"/invocations/{invocation_id}/lines"
    with client.stream("GET", path) as early, client.stream("GET", path) as late:
        early_lines, late_lines = early.iter_lines(), late.iter_lines()
        for text in ("one", "two"):
            connection.sendall(f"{text}\n".encode())
            assert json.loads(next(early_lines)) == text
        assert [json.loads(next(late_lines)) for _ in range(2)] == ["one", "two"]
        connection.shutdown(socket.SHUT_WR)
        assert (list(early_lines), list(late_lines)) == ([], [])
    assert status_of(client, invocation_id) == "success"


def test_an_error_is_the_last_line_of_a_stream(client, peer):
    invocation_id, connection = start(client, "/listeners", peer)
    with client.stream("GET", f"/invocations/{invocation_id}/lines") as response:
        lines = map(json.loads, response.iter_lines())
        connection.sendall(b"one\n")
        assert next(lines) == "one"
        client.delete(f"/invocations/{invocation_id}")
        assert [line["error"] for line in lines] == ["InvocationCancelledError"]


def test_what_has_no_items_cannot_be_streamed(client, peer):
    invocation_id, _ = start(client, "/greetings", peer)
    assert client.get(f"/invocations/{invocation_id}/lines").status_code == 409
    client.delete(f"/invocations/{invocation_id}")


def test_a_client_that_hangs_up_cancels_nothing(client, new_peer):
    first, second = new_peer(), new_peer()
    with client.stream("POST", "/greetings/batch", json=[first.server, second.server]) as response:
        connections = [first.accept(), second.accept()]
        connections[0].sendall(b"first\n")
        assert json.loads(next(response.iter_lines())) == first.greets("first")
    # What the client closed has reached the service before a request that was sent later.
    (living,) = client.get("/invocations", params={"status": "resumed"}).json()
    connections[1].sendall(b"second\n")
    result = client.get(f"/invocations/{living['id']}/result", params={"wait": PATIENCE})
    assert result.json() == second.greets("second")


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to handle")
def test_sigterm_lets_running_work_finish(peer):
    service = Service()
    try:
        with httpx.Client(base_url=service.url, timeout=PATIENCE) as client:
            invocation_id, connection = start(client, "/greetings", peer)
        service.process.send_signal(signal.SIGTERM)
        service.wait_for_log("Waiting for application shutdown")
        with pytest.raises(httpx.ConnectError):
            httpx.get(service.url)
        connection.sendall(b"at last\n")
        said = service.wait_for_log("says 'at last'")
        assert f"[{invocation_id}]" in said
    except BaseException:
        service.process.kill()
        raise
    finally:
        code = service.wait_for_exit()
    assert code == 0
