"""The channels to a worker: tickets have one taker, frames survive any cutting."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc_async.execution.processes.messages import Began, Frames, FromWorker, Item, Ready, frame
from pynenc_async.execution.processes.tokens import claim, claim_now, give, take_back


def test_every_ticket_has_one_taker():
    near, far = socket.socketpair()
    taken = [[], []]

    def worker():
        while (ticket := claim(far)) is not None:
            taken[0].append(ticket)

    thread = threading.Thread(target=worker)
    with near, far:
        thread.start()
        for first in range(0, 50_000, 50):
            give(near, range(first, first + 50))
            taken[1] += take_back(far)
        near.shutdown(socket.SHUT_WR)
        thread.join()
        assert sorted(taken[0] + taken[1]) == list(range(50_000))
        assert taken[0] == sorted(taken[0])


def test_looking_for_a_ticket_does_not_wait():
    near, far = socket.socketpair()
    with near, far:
        assert claim_now(far) is None
        assert take_back(far) == []
        give(near, [1, 2, 3])
        assert claim_now(far) == 1
        assert take_back(far) == [2, 3]


@pytest.mark.slow
@given(
    st.lists(st.lists(st.builds(Item, st.integers(0, 1 << 40), st.binary(max_size=50)), max_size=4), max_size=5),
    st.data(),
)
def test_frames_survive_any_cutting(parts, data):
    parts = [[Ready(), Began(1), *part] for part in parts]
    stream = b"".join(map(frame, parts))
    frames, told = Frames(FromWorker), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        told += frames.feed(stream[:size])
        stream = stream[size:]
    assert told == [message for part in parts for message in part]
