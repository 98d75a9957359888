"""Handlers of the example service that submit, await, list and cancel invocations."""

import pytest

# -- handlers that submit and wait -------------------------------------------------------------------------------------


def test_a_def_handler_submits_and_waits_in_its_thread(client):
    response = client.get("/addresses/127.0.0.1")
    assert (response.status_code, response.json()) == (200, ["127.0.0.1"])


def test_an_async_handler_submits_and_awaits(client, peer, in_thread):
    asked = in_thread(client.get, "/greetings", params=peer.server)
    peer.accept().sendall(b"220 ready\r\n")
    assert asked.result().json() == peer.greets("220 ready")


@pytest.mark.slow
def test_many_requests_at_once(client, greeter, in_thread):
    greetings = [in_thread(client.get, "/greetings", params=greeter) for _ in range(150)]
    addresses = [in_thread(client.get, "/addresses/127.0.0.1") for _ in range(150)]
    assert {one.result().json()["text"] for one in greetings} == {"hello"}
    assert {one.result().text for one in addresses} == {'["127.0.0.1"]'}


# -- accepted now, asked for later -------------------------------------------------------------------------------------


def test_202_then_the_status_then_the_result(client, peer, await_result):
    submitted = client.post("/greetings", json=peer.server)
    assert submitted.status_code == 202
    connection, location = peer.accept(), submitted.headers["Location"]
    assert (client.get(location).status_code, client.get(location).json()["status"]) == (202, "resumed")
    connection.sendall(b"hello\n")
    result = await_result(submitted.json()["id"])
    assert (result.status_code, result.json()) == (200, peer.greets("hello"))
    story = client.get(f"/invocations/{submitted.json()['id']}").json()
    assert [step["status"] for step in story["history"]] == [
        "registered", "pending", "running", "paused", "resumed", "success",
    ]  # fmt: skip


def test_a_request_can_wait_for_the_result(client, peer, in_thread, start, await_result):
    invocation_id, connection = start(client, "/greetings", peer)
    waiting = in_thread(await_result, invocation_id)
    connection.sendall(b"hello\n")
    assert waiting.result().json() == peer.greets("hello")


def test_invocations_by_status(client, peer, start, await_result):
    invocation_id, connection = start(client, "/greetings", peer)

    def ids(**params):
        return {invocation["id"] for invocation in client.get("/invocations", params=params).json()}

    assert ids(status="resumed") == {invocation_id}
    assert invocation_id in ids()
    assert invocation_id not in ids(status="success")
    connection.sendall(b"hello\n")
    assert await_result(invocation_id).status_code == 200
    assert invocation_id in ids(status="success")
    assert client.get("/invocations", params={"status": "asleep"}).status_code == 422


@pytest.mark.parametrize("path", ["", "/result", "/lines"])
def test_an_unknown_id_is_404(client, path):
    response = client.get(f"/invocations/nonsense{path}")
    assert (response.status_code, response.json()["error"]) == (404, "InvocationNotFoundError")


def test_an_unknown_id_cannot_be_cancelled(client):
    assert client.delete("/invocations/nonsense").status_code == 404


def test_what_the_task_raised_is_the_answer(client, nobody, status_of, await_result):
    direct = client.get("/greetings", params=nobody)
    assert (direct.status_code, direct.json()["error"]) == (502, "ConnectionRefusedError")
    invocation_id = client.post("/greetings", json=nobody).json()["id"]
    later = await_result(invocation_id)
    assert (later.status_code, later.json()["error"]) == (502, "ConnectionRefusedError")
    assert status_of(invocation_id) == "failed"


# -- cancelling --------------------------------------------------------------------------------------------------------


def test_delete_cancels_and_answers_when_the_work_has_ended(client, peer, start):
    invocation_id, connection = start(client, "/greetings", peer)
    cancelled = client.delete(f"/invocations/{invocation_id}", params={"reason": "too slow"})
    assert cancelled.json() == {"outcome": "stopped"}
    assert connection.recv(1) == b""  # the body has cleaned up
    result = client.get(f"/invocations/{invocation_id}/result")
    assert (result.status_code, result.json()["error"]) == (409, "InvocationCancelledError")
    assert result.json()["message"].endswith("too slow")


@pytest.mark.slow
def test_delete_says_that_the_work_was_finished_already(client, peer, start, status_of, await_result):
    invocation_id, connection = start(client, "/greetings", peer)
    connection.sendall(b"hello\n")
    await_result(invocation_id)
    assert client.delete(f"/invocations/{invocation_id}").json() == {"outcome": "finished"}
    assert status_of(invocation_id) == "success"
