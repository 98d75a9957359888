"""The status table in the forms that people and databases read: text, Mermaid, SVG, SQL.

What is drawn comes from `status.RULES`; only where it is drawn is written here. In the SVG an edge runs along *lanes*:
`"x640 y430"` leaves the box of its source on the vertical line x=640, turns into the horizontal line y=430, and follows
it to the box of its target. Edges to one target may share lanes, like the lines of a railway map; the tests check that
no edge runs through a box and that edges to different targets never share a piece of line. An edge without lanes of its
own gets the plainest ones, so that a new row of the table is drawn at once, if not yet beautifully.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import dist
from types import MappingProxyType
from typing import Final, TypeAlias
from xml.sax.saxutils import escape

from pynenc_async.status import INITIAL, RULES, InvocationStatus, Ownership, StatusRule

Edge: TypeAlias = tuple[InvocationStatus | None, InvocationStatus]
Point: TypeAlias = tuple[float, float]

_S: Final = InvocationStatus
_HEADINGS: Final = ("status", "next", "final", "may be run", "ownership")
_NEXT_WIDTH: Final = 36


def edges() -> Iterator[Edge]:
    """Yield every transition of the table, first those that begin an invocation (their source is None)."""
    for status in INITIAL:
        yield None, status
    for source, rule in RULES.items():
        for target in rule.next:
            yield source, target


def as_text() -> str:
    """Return the table for a terminal, followed by what each status means."""
    rows = [_HEADINGS, ("(none)", ", ".join(INITIAL), "", "", ""), *(_cells(*row) for row in RULES.items())]
    meanings = [("status", "meaning"), *((status.value, rule.meaning) for status, rule in RULES.items())]
    return f"{_aligned(_wrapped(rows))}\n\n{_aligned(meanings)}"


def as_mermaid() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = [f"{source or '[*]'} --> {target}" for source, target in edges()]
    lines += [f"{status} --> [*]" for status, rule in RULES.items() if rule.final]
    return "\n    ".join(["stateDiagram-v2", *lines])


def as_sql_check(column: str = "status") -> str:
    """Return the constraint that lets `column` (SQL, taken as it is) hold a status and nothing else."""
    values = ", ".join(f"'{status}'" for status in InvocationStatus)
    return f"CHECK ({column} IN ({values}))"


def as_svg() -> str:
    """Return the table as a self-contained drawing."""
    width, height = _CANVAS
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>The statuses of an invocation</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        *(_svg_arrivals(target) for target in InvocationStatus),
        _svg_start(),
        *(_svg_box(BOXES[status], status, rule) for status, rule in RULES.items()),
        *_svg_legend(),
        "</svg>",
    ]
    return "\n".join(parts)


def _cells(status: InvocationStatus, rule: StatusRule) -> tuple[str, ...]:
    return (
        status.value,
        ", ".join(rule.next),
        "yes" if rule.final else "",
        "yes" if rule.may_be_run else "",
        rule.ownership.replace("_", " "),
    )


def _wrapped(rows: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Break the second cell of each row into lines; the other cells stand in the first."""
    for first, long, *others in rows:
        line, *more = textwrap.wrap(long, _NEXT_WIDTH) or [""]
        yield first, line, *others
        yield from (("", line, *("" for _ in others)) for line in more)


def _aligned(rows: Iterable[tuple[str, ...]]) -> str:
    heading, *body = rows
    widths = [max(map(len, column)) for column in zip(heading, *body, strict=True)]
    rule = tuple("-" * width for width in widths)
    return "\n".join(_padded(row, widths) for row in (heading, rule, *body))


def _padded(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


@dataclass(frozen=True, slots=True)
class Box:
    """A place in the drawing."""

    left: float
    top: float
    width: float
    height: float = 36

    @property
    def right(self) -> float:
        """The x of the right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower edge."""
        return self.top + self.height

    @property
    def centre(self) -> Point:
        """The point in the middle."""
        return self.left + self.width / 2, self.top + self.height / 2


_CANVAS: Final = (1350, 560)
_START: Final = Box(65, 260, 20, 20)
BOXES: Final[Mapping[InvocationStatus, Box]] = MappingProxyType(
    {
        _S.REROUTED: Box(170, 30, 1024),
        _S.CONCURRENCY_CONTROLLED: Box(170, 140, 226),
        _S.PENDING_RECOVERY: Box(466, 140, 134),
        _S.KILLED: Box(690, 125, 90),
        _S.RUNNING_RECOVERY: Box(1060, 180, 134),
        _S.REGISTERED: Box(170, 260, 226),
        _S.PENDING: Box(440, 260, 200),
        _S.RUNNING: Box(690, 260, 140),
        _S.PAUSED: Box(880, 260, 90),
        _S.RESUMED: Box(1020, 260, 140),
        _S.FAILED: Box(1240, 180, 90),
        _S.SUCCESS: Box(1240, 342, 90),
        _S.SCHEDULED: Box(20, 360, 110),
        _S.CONCURRENCY_CONTROLLED_FINAL: Box(170, 360, 226),
        _S.RETRY: Box(500, 360, 100),
        _S.CANCELLED: Box(20, 450, 1140),
    }
)
_LANES: Final[Mapping[Edge, str]] = MappingProxyType(
    {
        (None, _S.REGISTERED): "y270",
        (_S.SCHEDULED, _S.REGISTERED): "y378 x150 y286",
        (_S.REGISTERED, _S.PENDING): "y270",
        (_S.REGISTERED, _S.CANCELLED): "y286 x418",
        (_S.CONCURRENCY_CONTROLLED, _S.REROUTED): "x230",
        (_S.CONCURRENCY_CONTROLLED, _S.CANCELLED): "y158 x418",
        (_S.REROUTED, _S.PENDING): "x452",
        (_S.REROUTED, _S.CONCURRENCY_CONTROLLED): "x336",
        (_S.REROUTED, _S.CANCELLED): "x418",
        (_S.PENDING, _S.REROUTED): "x612",
        (_S.PENDING, _S.KILLED): "x628 y143",
        (_S.PENDING, _S.CANCELLED): "x470",
        (_S.RUNNING, _S.RETRY): "x706 y380",
        (_S.RUNNING, _S.SUCCESS): "x785 y355",
        (_S.RUNNING, _S.FAILED): "x814 y322 x1285",
        (_S.RUNNING, _S.KILLED): "x735",
        (_S.RUNNING, _S.RUNNING_RECOVERY): "x805 y198",
        (_S.RUNNING, _S.CANCELLED): "x735",
        (_S.PAUSED, _S.RESUMED): "y270",
        (_S.PAUSED, _S.KILLED): "x910 y143",
        (_S.PAUSED, _S.RUNNING_RECOVERY): "x940 y198",
        (_S.RESUMED, _S.PAUSED): "y286",
        (_S.RESUMED, _S.RETRY): "x1036 y380",
        (_S.RESUMED, _S.SUCCESS): "x1115 y355",
        (_S.RESUMED, _S.FAILED): "x1144 y322 x1285",
        (_S.RESUMED, _S.KILLED): "x1032 y143",
        (_S.RESUMED, _S.RUNNING_RECOVERY): "x1110",
        (_S.RESUMED, _S.CANCELLED): "x1065",
        (_S.RETRY, _S.CANCELLED): "x550",
    }
)
_PLAIN_INK: Final = "#334155"
_INKS: Final[Mapping[InvocationStatus, str]] = MappingProxyType(
    {
        _S.REROUTED: "#2563eb",
        _S.PENDING_RECOVERY: "#ea580c",
        _S.RUNNING_RECOVERY: "#ea580c",
        _S.KILLED: "#9333ea",
        _S.RETRY: "#a16207",
        _S.SUCCESS: "#15803d",
        _S.FAILED: "#dc2626",
        _S.CANCELLED: "#94a3b8",
    }
)
_LEGEND: Final[Mapping[str, str]] = MappingProxyType(
    {"ready": "may be run", "owned": "owned by a runner", "parked": "neither", "final": "final"}
)
_STYLE: Final = """
text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #0f172a; text-anchor: middle }
path { fill: none; stroke-width: 1.5 }
polygon { stroke: none }
.paper { fill: #ffffff }
.halo { stroke: #ffffff; stroke-width: 6 }
.start { fill: #334155 }
.box { stroke-width: 1.5 }
.ready .box { fill: #dbeafe; stroke: #2563eb }
.owned .box { fill: #fef3c7; stroke: #b45309 }
.parked .box { fill: #f8fafc; stroke: #64748b }
.final .box { fill: #1e293b; stroke: #1e293b }
.final .rim { fill: none; stroke: #ffffff }
.final text { fill: #ffffff }
.legend text { fill: #475569; text-anchor: start }
"""


def _kind(rule: StatusRule) -> str:
    if rule.final:
        return "final"
    if rule.may_be_run:
        return "ready"
    return "owned" if rule.ownership in (Ownership.ACQUIRES, Ownership.REQUIRED) else "parked"


def _svg_box(box: Box, status: InvocationStatus, rule: StatusRule) -> str:
    x, y = box.centre
    return (
        f'<g class="{_kind(rule)}" data-status="{status}"><title>{status}: {escape(rule.meaning)}</title>'
        f'{_svg_frame(box, _kind(rule))}<text x="{x:g}" y="{y + 4:g}">{status}</text></g>'
    )


def _svg_frame(box: Box, kind: str) -> str:
    frame = _svg_rect("box", box)
    if kind != "final":
        return frame
    return frame + _svg_rect("rim", Box(box.left + 3, box.top + 3, box.width - 6, box.height - 6))


def _svg_rect(name: str, box: Box) -> str:
    size = f'width="{box.width:g}" height="{box.height:g}"'
    return f'<rect class="{name}" x="{box.left:g}" y="{box.top:g}" {size} rx="6"/>'


def _svg_start() -> str:
    x, y = _START.centre
    return f'<circle class="start" cx="{x:g}" cy="{y:g}" r="{_START.width / 2:g}"><title>submitted</title></circle>'


def _svg_legend() -> Iterator[str]:
    for place, (kind, label) in enumerate(_LEGEND.items()):
        box = Box(20 + 200 * place, 520, 28, 18)
        text = f'<text x="{box.right + 10:g}" y="{box.bottom - 5:g}">{label}</text>'
        yield f'<g class="legend"><g class="{kind}">{_svg_frame(box, kind)}</g>{text}</g>'


def _svg_arrivals(target: InvocationStatus) -> str:
    """Draw the edges to `target`; all halos first, so that lines which merge do not cut one another."""
    arrivals = [(source, end) for source, end in edges() if end is target]
    halos = [f'<path class="halo" d="{_path(route(edge))}"/>' for edge in arrivals]
    ink = _INKS.get(target, _PLAIN_INK)
    return "\n".join([f'<g stroke="{ink}" fill="{ink}">', *halos, *map(_svg_edge, arrivals), "</g>"])


def _svg_edge(edge: Edge) -> str:
    source, target = edge
    corners = route(edge)
    return (
        f'<g data-from="{source or ""}" data-to="{target}"><title>{source or "(none)"} to {target}</title>'
        f'<path d="{_path(corners)}"/><polygon points="{_arrow_head(*corners[-2:])}"/></g>'
    )


def route(edge: Edge) -> list[Point]:
    """Return the corners of an edge, from the border of its source to the border of its target."""
    source, target = edge
    start, end = _START if source is None else BOXES[source], BOXES[target]
    corners = list(_walk(start, end, (_LANES.get(edge) or _plain_lanes(start, end)).split()))
    corners[0] = _border(start, corners[0], corners[1])
    corners[-1] = _border(end, corners[-1], corners[-2])
    return corners


def _walk(start: Box, end: Box, lanes: Sequence[str]) -> Iterator[Point]:
    x, y = start.centre
    for lane in lanes:
        x, y = _onto(lane, x, y)
        yield x, y
    yield (x, end.centre[1]) if lanes[-1].startswith("x") else (end.centre[0], y)


def _onto(lane: str, x: float, y: float) -> Point:
    at = float(lane[1:])
    return (at, y) if lane.startswith("x") else (x, at)


def _plain_lanes(start: Box, end: Box) -> str:
    """Straight where the boxes face each other, else with one turn."""
    left, right = max(start.left, end.left), min(start.right, end.right)
    if left < right:
        return f"x{(left + right) / 2}"
    top, bottom = max(start.top, end.top), min(start.bottom, end.bottom)
    if top < bottom:
        return f"y{(top + bottom) / 2}"
    return f"x{start.centre[0]} y{end.centre[1]}"


def _border(box: Box, inside: Point, outside: Point) -> Point:
    (x, y), (to_x, to_y) = inside, outside
    if x == to_x:
        return x, box.bottom if to_y > y else box.top
    return box.right if to_x > x else box.left, y


def _path(corners: Sequence[Point]) -> str:
    """Join the corners by a line that rounds them, and that ends inside the arrow head."""
    steps = [f"M{_at(corners[0])}"]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        steps.append(f"L{_at(_from(corner, before, 7))}Q{_at(corner)} {_at(_from(corner, after, 7))}")
    steps.append(f"L{_at(_from(corners[-1], corners[-2], 5))}")
    return "".join(steps)


def _arrow_head(before: Point, tip: Point) -> str:
    x, y = _from(tip, before, 9)
    across, along = (tip[1] - y) / 2.25, (tip[0] - x) / 2.25
    return " ".join(_at(point) for point in (tip, (x + across, y - along), (x - across, y + along)))


def _from(point: Point, other: Point, distance: float) -> Point:
    share = distance / dist(point, other)
    return point[0] + (other[0] - point[0]) * share, point[1] + (other[1] - point[1]) * share


def _at(point: Point) -> str:
    return f"{point[0]:g},{point[1]:g}"
