"""The renderings of the status table: complete, true to the table, and legible."""

import os
import sqlite3
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pynenc_async import cli, status_render
from pynenc_async.status import INITIAL, RULES, InvocationStatus
from pynenc_async.status_render import BOXES, Box, as_mermaid, as_sql_check, as_svg, as_text, edges, route

EDGES = list(edges())
RENDERINGS = {"text": as_text, "mermaid": as_mermaid, "svg": as_svg, "sql": as_sql_check}
SVG = "{http://www.w3.org/2000/svg}"
GLYPH = 7.3  # the advance of a 12px monospace glyph, rounded up
every_status = pytest.mark.parametrize("status", InvocationStatus)
every_edge = pytest.mark.parametrize("edge", EDGES, ids=lambda edge: "-".join(map(str, edge)))
every_format = pytest.mark.parametrize("name", RENDERINGS)


@pytest.fixture(scope="module")
def drawing() -> ET.Element:
    return ET.fromstring(as_svg())  # noqa: S314 - our own output


def segments(edge):
    return list(pairwise(route(edge)))


def span(segment, margin=0.0):
    (x, y), (to_x, to_y) = segment
    width, height = abs(to_x - x) + 2 * margin, abs(to_y - y) + 2 * margin
    return Box(min(x, to_x) - margin, min(y, to_y) - margin, width, height)


def overlap(one: Box, other: Box) -> bool:
    beside = one.right <= other.left or other.right <= one.left
    return not (beside or one.bottom <= other.top or other.bottom <= one.top)


def is_vertical(segment):
    return segment[0][0] == segment[1][0]


# All of them


def test_the_edges_are_those_of_the_table_and_the_beginnings():
    beginnings = {(None, status) for status in INITIAL}
    assert set(EDGES) == beginnings | {(status, following) for status in RULES for following in RULES[status].next}
    assert len(EDGES) == len(set(EDGES))


@every_format
@every_status
def test_every_status_is_in_every_rendering(name, status):
    assert status in RENDERINGS[name]().replace(",", " ").replace("'", " ").replace("<", " ").replace(">", " ").split()


@every_format
def test_every_rendering_is_the_same_each_time_and_in_ascii(name):
    first = RENDERINGS[name]()
    assert first == RENDERINGS[name]()
    assert first.isascii()


# Text


@every_status
def test_the_text_says_what_each_status_means(status):
    assert any(line.split(maxsplit=1) == [status, RULES[status].meaning] for line in as_text().splitlines())


def test_the_text_fits_a_terminal_and_has_no_trailing_blanks():
    assert all(len(line) <= 120 and line == line.rstrip() for line in as_text().splitlines())


def test_a_row_of_the_text_has_its_cells_under_their_headings():
    heading, _, _, scheduled, registered, *_ = as_text().splitlines()
    assert registered.index("yes") == heading.index("may be run")
    assert scheduled.index("none") == registered.index("none") == heading.index("ownership")


# Mermaid


@every_edge
def test_every_edge_is_in_the_mermaid_diagram(edge):
    source, target = edge
    assert f"    {source or '[*]'} --> {target}" in as_mermaid().splitlines()


def test_the_mermaid_diagram_has_nothing_else_but_the_ends():
    heading, *lines = as_mermaid().splitlines()
    finals = {status for status in InvocationStatus if status.is_final()}
    assert heading == "stateDiagram-v2"
    assert {line.split()[0] for line in lines if line.endswith("--> [*]")} == finals
    assert len(lines) == len(EDGES) + len(finals)


# SQL


def test_the_sql_check_lets_in_every_status_and_nothing_else():
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE invocations (state TEXT {as_sql_check('state')})")
    database.executemany("INSERT INTO invocations VALUES (?)", [(status.value,) for status in InvocationStatus])
    with pytest.raises(sqlite3.IntegrityError):
        database.execute("INSERT INTO invocations VALUES ('RUNNING')")
    database.close()


# SVG


def test_the_drawing_has_exactly_the_edges_of_the_table(drawing):
    drawn = [(edge.get("data-from"), edge.get("data-to")) for edge in drawing.iter() if edge.get("data-to")]
    assert sorted(drawn) == sorted((source or "", target) for source, target in EDGES)


def test_the_drawing_has_one_box_per_status_styled_by_its_kind(drawing):
    boxes = {box.get("data-status"): box for box in drawing.iter(f"{SVG}g") if box.get("data-status")}
    assert list(boxes) == list(InvocationStatus)
    for status, box in boxes.items():
        assert (box.get("class") == "final") is InvocationStatus(status).is_final()
        assert (box.get("class") == "ready") is InvocationStatus(status).is_available_to_run()


def test_the_drawing_refers_to_nothing_outside(drawing):
    assert "http" not in as_svg().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not list(drawing.iter(f"{SVG}image"))


def test_every_status_has_a_place_and_every_place_is_on_the_paper():
    width, height = status_render._CANVAS
    assert set(BOXES) == set(InvocationStatus)
    assert all(box.left >= 0 and box.right <= width for box in BOXES.values())
    assert all(box.top >= 0 and box.bottom <= height for box in BOXES.values())


@every_status
def test_the_name_of_a_status_fits_its_box(status):
    assert len(status) * GLYPH + 8 <= BOXES[status].width


def test_no_two_boxes_overlap():
    assert not [pair for pair in combinations(BOXES, 2) if overlap(BOXES[pair[0]], BOXES[pair[1]])]


def test_lanes_are_kept_only_for_edges_of_the_table():
    assert set(status_render._LANES) <= set(EDGES)


@every_edge
def test_an_edge_starts_and_ends_on_the_side_of_its_own_box(edge):
    source, target = edge
    start, *_, end = route(edge)
    for box, (x, y) in [(BOXES[source] if source else status_render._START, start), (BOXES[target], end)]:
        on_side = x in (box.left, box.right) and box.top < y < box.bottom
        assert on_side or (y in (box.top, box.bottom) and box.left < x < box.right)


@every_edge
def test_an_edge_runs_at_right_angles_and_leaves_room_for_its_arrow_head(edge):
    assert all(x == to_x or y == to_y for (x, y), (to_x, to_y) in segments(edge))
    *_, last = segments(edge)
    assert max(span(last).width, span(last).height) >= 20


@every_edge
def test_an_edge_runs_through_no_box(edge):
    others = [box for status, box in BOXES.items() if status not in edge]
    assert not [box for box in others for segment in segments(edge) if overlap(span(segment, 4), box)]
    assert not [box for box in BOXES.values() for segment in segments(edge) if overlap(span(segment), box)]


def test_edges_to_different_targets_keep_apart_where_they_run_side_by_side():
    close = [
        (one, other)
        for one, other in combinations(EDGES, 2)
        if one[1] is not other[1]
        for first in segments(one)
        for second in segments(other)
        if is_vertical(first) is is_vertical(second) and overlap(span(first, 4), span(second, 4))
    ]
    assert not close


def test_an_edge_without_lanes_is_drawn_straight_or_with_one_turn():
    below, beside = Box(0, 100, 40), Box(100, 0, 40)
    assert status_render._plain_lanes(Box(0, 0, 40), below) == "x20.0"
    assert status_render._plain_lanes(Box(0, 0, 40), beside) == "y18.0"
    assert status_render._plain_lanes(below, beside) == "x20.0 y18.0"


# The command line


@every_format
def test_the_command_writes_the_rendering_that_was_asked_for(name, capsys):
    assert cli.main(["status", "render", "--format", name]) == 0
    assert capsys.readouterr().out == RENDERINGS[name]() + "\n"


def test_the_command_writes_text_unless_asked_otherwise(capsys):
    assert cli.main(["status", "render"]) == 0
    assert capsys.readouterr().out == as_text() + "\n"


def test_the_command_writes_to_the_file_that_it_was_given(tmp_path, capsys):
    target = tmp_path / "status.svg"
    assert cli.main(["status", "render", "--format", "svg", "--output", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == as_svg() + "\n"
    assert capsys.readouterr().out == ""


def test_a_file_that_cannot_be_written_is_named_and_the_exit_code_says_so(tmp_path, capsys):
    assert cli.main(["status", "render", "--output", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["status"], ["status", "render", "--format", "png"]])
def test_an_incomplete_or_unknown_command_is_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert "usage: python -m pynenc_async" in capsys.readouterr().err


@pytest.mark.slow
def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "pynenc_async", "status", "render", "--format", "sql"]
    finished = subprocess.run(  # noqa: S603 - our own command
        command, cwd=Path(cli.__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert finished.stdout == as_sql_check() + "\n"


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_and_a_full_disk_are_no_tracebacks():
    def write_to(target):
        return subprocess.run(  # our own command
            [sys.executable, "-m", "pynenc_async", "status", "render"],
            stdout=target,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    reading, writing = os.pipe()
    os.close(reading)
    cut_off = write_to(writing)
    os.close(writing)
    assert (cut_off.returncode, cut_off.stderr) == (1, "")
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            refused = write_to(full)
        assert (refused.returncode, refused.stderr) == (1, "cannot write to standard output: No space left on device\n")
