"""SIGTERM, SIGSTOP, poison, blocked loops: what stops in order gives back, what is silent is replaced, what is busy is not."""

import asyncio
import signal

import pytest
from helpers import slow
from judge import PATIENCE, judge, pause

pytestmark = pytest.mark.timeout(3 * PATIENCE)


@pytest.mark.parametrize("when", [slow("idle"), "busy", slow("twice")])
def test_sigterm_stops_in_order(scene, when):
    submitted = 0 if when == "idle" else 40
    victim = scene.start("--submit", submitted, "--seconds", 0.2, "--stay")
    scene.wait_for(1, "all-done" if when == "idle" else "began")
    victim.send_signal(signal.SIGTERM)
    if when == "twice":
        pause(0.05)
        victim.send_signal(signal.SIGTERM)
    assert victim.wait(PATIENCE) in (143, -signal.SIGTERM), scene.log(victim)
    scene.finish()
    figures = asyncio.run(judge(scene))
    assert when == "twice" or figures["crashed"] == 0


@pytest.mark.slow
def test_a_process_that_is_stopped_for_three_leases_is_replaced_and_writes_nothing_when_it_wakes(scene):
    sleeper = scene.start("--submit", 10, "--seconds", 1, "--lease", 0.5)
    scene.wait_for(3, "began")
    scene.suspend(sleeper)
    pause(1.5)
    scene.finish("--lease", 0.5)
    ended = [line[1] for line in scene.ledger() if line[0] == "ended"]
    sleeper.send_signal(signal.SIGCONT)
    assert sleeper.wait(PATIENCE) == 0, scene.log(sleeper)
    scene.finish()  # before it knew that it was replaced, a body may have submitted something new
    asyncio.run(judge(scene, limits=False))  # and it went on for a moment beside the attempt that has replaced it
    assert ended


@pytest.mark.slow
def test_a_blocked_loop_is_not_death(scene):
    go_on = scene.folder / "go-on"
    blocked = scene.start("--block", go_on, "--lease", 60)
    scene.wait_for(1, "began")
    other = scene.start("--submit", 1, "--lease", 60)
    scene.wait_for(1, "accepted")
    scene.wait_for_renewals(blocked)
    go_on.touch()
    assert other.wait(PATIENCE) == 0, scene.log(other)
    assert blocked.wait(PATIENCE) == 0, scene.log(blocked)
    asyncio.run(judge(scene))
    began = [line for line in scene.ledger() if line[0] == "began" and line[-2] == f"pid={blocked.pid}"]
    assert len(began) == len({line[1] for line in began})
    assert not any(line[2] != "1" for line in began)


@pytest.mark.slow
@pytest.mark.parametrize("poison", ["exit", "segv"])
def test_poison_is_given_up_and_its_neighbours_are_not(scene, poison):
    scene.start("--submit", 12, "--poison", poison, "--seconds", 0.02).wait(PATIENCE)
    for _ in range(6):
        victim = scene.start("--poison", poison)
        scene_over = victim.wait(PATIENCE) == 0
        if scene_over:
            break
    figures = asyncio.run(judge(scene))
    assert figures["poisoned"] >= 1
    lines = [line for line in scene.ledger() if line[0] == "began"]
    tried = max(int(line[2]) for line in lines)
    assert tried <= 4
