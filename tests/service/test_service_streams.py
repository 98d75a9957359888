"""Streams of the example service: each item arrives before the next one is there."""

import json
import socket

import pytest


@pytest.mark.slow
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


def test_the_items_of_a_task_are_streamed_to_every_reader_from_the_start(client, peer, start, status_of):
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
    assert status_of(invocation_id) == "success"


def test_an_error_is_the_last_line_of_a_stream(client, peer, start):
    invocation_id, connection = start(client, "/listeners", peer)
    with client.stream("GET", f"/invocations/{invocation_id}/lines") as response:
        lines = map(json.loads, response.iter_lines())
        connection.sendall(b"one\n")
        assert next(lines) == "one"
        client.delete(f"/invocations/{invocation_id}")
        assert [line["error"] for line in lines] == ["InvocationCancelledError"]


def test_what_has_no_items_cannot_be_streamed(client, peer, start):
    invocation_id, _ = start(client, "/greetings", peer)
    assert client.get(f"/invocations/{invocation_id}/lines").status_code == 409
    client.delete(f"/invocations/{invocation_id}")


@pytest.mark.slow
def test_a_client_that_hangs_up_cancels_nothing(client, new_peer, await_result):
    first, second = new_peer(), new_peer()
    with client.stream("POST", "/greetings/batch", json=[first.server, second.server]) as response:
        connections = [first.accept(), second.accept()]
        connections[0].sendall(b"first\n")
        assert json.loads(next(response.iter_lines())) == first.greets("first")
    # What the client closed has reached the service before a request that was sent later.
    (living,) = client.get("/invocations", params={"status": "resumed"}).json()
    connections[1].sendall(b"second\n")
    result = await_result(living["id"])
    assert result.json() == second.greets("second")
