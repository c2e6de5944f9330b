"""Draws what a run was as a small SVG: panels under one another, one axis of time.

Colours follow the reader's scheme, light or dark; text is text, no font comes along.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Place = Callable[[float], float]

WIDTH, LEFT, RIGHT, HEAD, GAP = 720, 66, 16, 40, 44
MOST_TICKS = 7

STYLE = """
:root{color-scheme:light dark}
.p{fill:#fff;stroke:#e3e6ea}.g{stroke:#e3e6ea}
text{font:12px system-ui,sans-serif;fill:#5c6670}
.h{font-weight:600;font-size:13px;fill:#1c2127}
.e{text-anchor:end}.m{text-anchor:middle}
.mark{--c:#3558d4}.good{--c:#0b7f57}.bad{--c:#c8364a}.soft{--c:#7b858f}
.warn{--c:#a35b00}.ink{--c:#1c2127}
.l{fill:none;stroke:var(--c);stroke-width:1.5;stroke-linejoin:round}
.soft.l{stroke-width:1}.d{stroke-dasharray:4 3}.f{fill:var(--c)}.w{fill:var(--c);
opacity:.14}.t{fill:var(--c)}
@media (prefers-color-scheme:dark){
.p{fill:#171c23;stroke:#2f3843}.g{stroke:#2a323c}text{fill:#a3adb8}.h{fill:#e4e8ed}
.mark{--c:#86a1ff}.good{--c:#3fc08d}.bad{--c:#f0717f}.soft{--c:#86909b}
.warn{--c:#f0b45c}.ink{--c:#e4e8ed}}
""".replace("\n", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A course of something.

    Attributes:
        name: in the legend; empty for none.
        points: time and value, oldest first.
        tone: colour by its meaning: `mark`, `good`, `bad`, `warn`, `soft` or `ink`.
        is_step: holds each value until the next.
        is_dashed: drawn with gaps.
        has_wash: the ground between it and 0 is tinted.
    """

    name: str
    points: Sequence[tuple[float, float]]
    tone: str = "mark"
    is_step: bool = False
    is_dashed: bool = False
    has_wash: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Moments at a value: `up` and `down` are triangles, `dot` a disc, `bar` from 0."""

    name: str
    points: Sequence[tuple[float, float]]
    tone: str
    shape: str = "dot"


@dataclass(slots=True, kw_only=True)
class Panel:
    """One set of axes.

    Attributes:
        head: what it shows, with its unit.
        lines: courses.
        marks: moments.
        rules: values with a word, drawn across.
        spans: stretches of time with a word, tinted.
        height: of the axes, in pixels.
        names: words at whole values of time in place of numbers.
    """

    head: str
    lines: list[Line] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)
    rules: list[tuple[float, str, str]] = field(default_factory=list)
    spans: list[tuple[float, float, str, str]] = field(default_factory=list)
    height: int = 150
    names: Sequence[str] = ()

    def values(self) -> list[float]:
        """Return everything that has to be within the axis."""
        drawn = [y for one in (*self.lines, *self.marks) for _, y in one.points]
        drawn += [y for y, _, _ in self.rules]
        if any(one.shape == "bar" for one in self.marks):
            drawn.append(0.0)
        return drawn


def ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Return round numbers within two bounds, `most` of them or fewer."""
    span = (high - low) or 1.0
    scale = 10.0 ** math.floor(math.log10(span / most))
    for part in (1, 2, 5, 10, 20):
        step = scale * part
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [at * step for at in range(first, last + 1)]


def worded(values: Sequence[float]) -> list[str]:
    """Return numbers with as many decimals as tell neighbours apart."""
    step = min((b - a for a, b in itertools.pairwise(values)), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{0.0 if abs(one) < step / 2 else one:,.{decimals}f}" for one in values]


def thinned(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep first, lowest, highest and last of the points of each column of pixels."""
    kept: list[tuple[float, float]] = []
    for _, group in itertools.groupby(points, key=lambda one: round(one[0])):
        some = list(group)
        ends = {some[0], some[-1], min(some, key=_value), max(some, key=_value)}
        kept += [one for one in some if one in ends]
    return [
        one
        for at, one in enumerate(kept)
        # What lies on a level stretch says nothing.
        if not 0 < at < len(kept) - 1
        or not kept[at - 1][1] == one[1] == kept[at + 1][1]
    ]


def _value(point: tuple[float, float]) -> float:
    return point[1]


def picture(title: str, panels: Sequence[Panel], *, x_head: str = "minutes") -> str:
    """Return the SVG.

    Args:
        title: what a reader who cannot see it is told.
        panels: upper one first; all have the same axis of time.
        x_head: unit of that axis.
    """
    drawn = [one for panel in panels for one in (*panel.lines, *panel.marks)]
    times = [x for one in drawn for x, _ in one.points]
    names = panels[-1].names
    low, high = (-0.5, len(names) - 0.5) if names else (min(times), max(times))
    parts, top = [], 0
    for panel in panels:
        parts += _panel(panel, top + HEAD, low, high)
        top += HEAD + panel.height + 8
    bottom = top
    if names:
        for at, name in enumerate(names):
            x = _across(at, low, high)
            parts.append(_text(x, bottom + 14, name, "m"))
    else:
        at_ticks = ticks(low, high, 9)
        for at, words in zip(at_ticks, worded(at_ticks), strict=True):
            parts.append(_text(_across(at, low, high), bottom + 10, words, "m"))
    parts.append(_text(WIDTH - RIGHT, bottom + 28, x_head, "e"))
    return framed(title, parts, bottom + 40)


def framed(title: str, parts: Sequence[str], height: int) -> str:
    """Return parts within their card."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style>"
        f'<rect class="p" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" '
        f'rx="8"/>{"".join(parts)}</svg>\n'
    )


def heat(
    title: str,
    *,
    head: str,
    across: Sequence[str],
    down: Sequence[str],
    cells: Sequence[Sequence[float]],
    words: str,
    axes: tuple[str, str],
) -> str:
    """Return a heat map: the more, the more colour; below 0 in that of losses.

    Args:
        title: what a reader who cannot see it is told.
        head: what the cells are.
        across: names of the columns.
        down: names of the rows.
        cells: a row a list.
        words: format of a cell's text.
        axes: what columns and rows are.
    """
    most = max(abs(one) for row in cells for one in row) or 1.0
    wide, high = (WIDTH - LEFT - RIGHT - 30) / len(across), 44
    parts = [_text(14, 24, head, "h")]
    for place, (name, row) in enumerate(zip(down, cells, strict=True)):
        y = HEAD + place * high
        parts.append(_text(LEFT + 20, y + high / 2 + 4, name, "e"))
        for column, one in enumerate(row):
            x = LEFT + 30 + column * wide
            tone = "good" if one > 0 else "bad"
            parts.append(
                f'<rect class="f {tone}" x="{x:.1f}" y="{y}" width="{wide - 2:.1f}" '
                f'height="{high - 2}" opacity="{0.08 + 0.42 * abs(one) / most:.2f}"/>'
            )
            middle = x + wide / 2
            parts.append(_text(middle, y + high / 2 + 4, words.format(one), "m h"))
    bottom = HEAD + len(down) * high
    for column, name in enumerate(across):
        x = LEFT + 30 + (column + 0.5) * wide
        parts.append(_text(x, bottom + 16, name, "m"))
    parts.append(_text(WIDTH - RIGHT, bottom + 34, f"across: {axes[0]}", "e"))
    parts.append(_text(14, bottom + 34, f"down: {axes[1]}", ""))
    return framed(title, parts, bottom + 46)


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{escape(words)}</text>'


def _across(at: float, low: float, high: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (at - low) / ((high - low) or 1.0)


def _panel(panel: Panel, top: int, low_x: float, high_x: float) -> list[str]:
    values = panel.values()
    low, high = min(values), max(values)
    room = (high - low or abs(high) or 1.0) * 0.06
    low, high = low - room, high + room
    bottom = top + panel.height

    def x_of(at: float) -> float:
        return _across(at, low_x, high_x)

    def y_of(value: float) -> float:
        return bottom - panel.height * (value - low) / (high - low)

    parts = [_text(14, top - 16, panel.head, "h")]
    for begin, end, words, tone in panel.spans:
        x, wide = x_of(begin), max(x_of(end) - x_of(begin), 1.5)
        parts.append(
            f'<rect class="w {tone}" x="{x:.1f}" y="{top}" width="{wide:.1f}" '
            f'height="{panel.height}"/>'
        )
        if words:
            parts.append(_text(x + 3, top + 12, words, f"t {tone}"))
    at_ticks = ticks(low, high, max(3, panel.height // 30))
    for value, words in zip(at_ticks, worded(at_ticks), strict=True):
        y = y_of(value)
        parts.append(
            f'<path class="g" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            + _text(LEFT - 8, y + 4, words, "e")
        )
    for value, words, tone in panel.rules:
        y = y_of(value)
        parts.append(
            f'<path class="l d {tone}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            + _text(WIDTH - RIGHT - 4, y - 4, words, f"e t {tone}")
        )
    for line in panel.lines:
        parts += _drawn(line, x_of, y_of)
    for marks in panel.marks:
        parts += _marked(marks, x_of, y_of)
    return parts + _legend(panel, top - 16)


def _drawn(line: Line, x_of: Place, y_of: Place) -> list[str]:
    points = [(x_of(x), y_of(y)) for x, y in line.points]
    if not line.is_step:
        points = thinned(points)
    first, *rest = points
    path, last = [f"M{first[0]:.1f} {first[1]:.1f}"], first
    for x, y in rest:
        if not line.is_step:
            path.append(f"L{x:.1f} {y:.1f}")
        elif y != last[1]:
            path.append(f"H{x:.1f}V{y:.1f}")
        last = (x, y)
    if line.is_step:
        path.append(f"H{last[0]:.1f}")
    text = "".join(path)
    found = []
    if line.has_wash:
        zero = y_of(0.0)
        found.append(
            f'<path class="w {line.tone}" d="{text}V{zero:.1f}H{first[0]:.1f}Z"/>'
        )
    dashed = " d" if line.is_dashed else ""
    return [*found, f'<path class="l{dashed} {line.tone}" d="{text}"/>']


SHAPES = {
    "up": "m-4 3h8l-4-7z",
    "down": "m-4-3h8l-4 7z",
    "dot": "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "bar": "m-3 4v-9h6v9z",
}


def _marked(marks: Marks, x_of: Place, y_of: Place) -> list[str]:
    path = []
    for at, value in marks.points:
        x, y = x_of(at), y_of(value)
        if marks.shape == "bar":
            path.append(f"M{x - 5:.1f} {y_of(0.0):.1f}V{y:.1f}h10V{y_of(0.0):.1f}z")
        else:
            path.append(f"M{x:.1f} {y:.1f}{SHAPES[marks.shape]}")
    return [f'<path class="f {marks.tone}" d="{"".join(path)}"/>'] if path else []


def _legend(panel: Panel, y: int) -> list[str]:
    named = [one for one in (*panel.lines, *panel.marks) if one.name]
    # From the right: the words' lengths are a guess, on the large side.
    parts, right = [], WIDTH - RIGHT
    for one in reversed(named):
        parts.append(_text(right, y, one.name, "e"))
        right -= int(6.6 * len(one.name)) + 8
        if isinstance(one, Line):
            dashed = " d" if one.is_dashed else ""
            parts.append(
                f'<path class="l{dashed} {one.tone}" d="M{right - 16} {y - 4}h16"/>'
            )
            right -= 32
        else:
            shape = SHAPES[one.shape]
            parts.append(
                f'<path class="f {one.tone}" d="M{right - 6} {y - 4}{shape}"/>'
            )
            right -= 26
    return parts
