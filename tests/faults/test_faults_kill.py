"""kill -9, at random times and at named points: nothing that was accepted is lost, and nothing is done twice in the file."""

import asyncio
import os
import random
import signal

import pytest
from helpers import slow
from judge import PATIENCE, judge, pause

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "200"))
LEASE = 10
"""Seconds: longer than any victim is silent. Its death is seen at once, however long that is."""
LINE = 64
"""About the bytes of a line of the ledger."""
POINTS = ("before-register", "after-register", "before-start", "before-end", "after-end", "after-claim")

pytestmark = pytest.mark.timeout(4 * PATIENCE)


def kill_after(scene, rng, *, most_lines):
    victim = scene.start("--submit", 40, "--lease", LEASE)
    enough = scene.written() + rng.randrange(1, most_lines) * LINE
    while scene.written() < enough and victim.poll() is None:
        pause(0.002)
    pause(rng.random() * 0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait(PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_a_random_time(scene, seed):
    rng = random.Random(seed)
    for _ in range(2):
        kill_after(scene, rng, most_lines=120)
    scene.finish("--lease", LEASE)
    figures = asyncio.run(judge(scene))
    assert figures["rows"] >= figures["accepted"]


@pytest.mark.parametrize("point", ["after-start", *map(slow, POINTS)])
def test_killed_at_a_named_point(scene, point):
    victim = scene.start("--submit", 80 if point == "after-claim" else 15, "--die", f"{point}:2", "--lease", LEASE)
    victim.wait(PATIENCE)
    if victim.returncode != -signal.SIGKILL:
        assert point == "after-claim", scene.log(victim)
    scene.finish("--lease", LEASE)
    asyncio.run(judge(scene))


@pytest.mark.slow
def test_two_processes_and_one_of_them_is_killed(scene):
    stays = scene.start("--submit", 20, "--lease", LEASE)
    dies = scene.start("--submit", 30, "--lease", LEASE, "--seconds", 0.05)
    scene.wait_for(25, "accepted")
    dies.kill()
    dies.wait(PATIENCE)
    assert stays.wait(PATIENCE) == 0, scene.log(stays)
    scene.finish("--lease", LEASE)
    asyncio.run(judge(scene))


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_killed_many_times(scene):
    rng = random.Random()
    for _ in range(ROUNDS):
        kill_after(scene, rng, most_lines=150)
    scene.finish("--lease", LEASE)
    print(ROUNDS, "kills:", dict(asyncio.run(judge(scene))))
