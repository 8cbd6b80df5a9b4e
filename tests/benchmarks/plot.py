"""The main rows as bars on a logarithmic scale of ratios to Node: an SVG that reads on light and on dark pages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from .report import ratio
from .rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .rows import Row, Samples

__all__ = ["Axis", "curves", "plot"]

LABELS, SCALE, LINE, TOP = 420, 380, 22, 46
LEAST, MOST = 1 / 32, 32.0
LETTERS = 14
"""Height of a line of text."""
GOOD, BAD, BLUE, GREY = "#2f9e6e", "#d9643a", "#3d7edb", "#888888"
STYLES = ((GOOD, "none"), (BAD, "6 3"), (BLUE, "2 3"))
"""Of lines: colour and dashes, so that it takes no colours to tell them apart."""


def plot(samples: Samples) -> str:
    """Every row whose goal is a ratio to Node, drawn so that longer to the right is better."""
    rows = [(row, value) for row in ROWS if row.goal and row.goal.ratio and (value := ratio(row, samples))]
    height = TOP + LINE * len(rows) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABELS + SCALE + 70} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        _text(LABELS, 16, "times as good as Node; the notch is the goal", weight="bold", anchor="start"),
    ]
    for factor in (1 / 16, 1 / 4, 1, 4, 16):
        at = _at(factor)
        label = f"{factor:g} ×" if factor >= 1 else f"1/{1 / factor:g}"
        parts.append(_text(at, TOP - 10, label, anchor="middle"))
        parts.append(f'<path d="M{at:.1f} {TOP - 4}V{height - 8}" stroke="{GREY}" stroke-opacity="0.5"/>')
    for index, (row, value) in enumerate(rows):
        parts += _bar(row, value, TOP + LINE * index)
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: Row, value: float, y: int) -> list[str]:
    assert row.goal is not None
    better, wanted = (value, row.goal.limit) if row.goal.at_least else (1 / value, 1 / row.goal.limit)
    start, end = sorted((_at(1), _at(better)))
    colour = GOOD if better >= wanted else BAD
    return [
        _text(LABELS - 8, y + 12, row.title.replace("`", ""), anchor="end"),
        f'<rect x="{start:.1f}" y="{y + 2}" width="{end - start:.1f}" height="{LINE - 8}" fill="{colour}"/>',
        f'<path d="M{_at(wanted):.1f} {y}v{LINE - 4}" stroke="{GREY}" stroke-width="2"/>',
        _text(max(end, _at(wanted)) + 6, y + 13, f"{better:.2f} ×", anchor="start"),
    ]


def _at(factor: float) -> float:
    position = math.log(min(max(factor, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LABELS + SCALE * position


def _text(x: float, y: float, text: str, *, anchor: str, weight: str = "normal", colour: str = GREY) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


@dataclass(frozen=True)
class Axis:
    labels: Sequence[str]
    places: Sequence[float]
    """Where on the axis each label is."""


WIDTH, HEIGHT, LEFT, RIGHT, ABOVE, BELOW = 640, 280, 50, 150, 40, 36
"""Of one panel, and its margins."""


def curves(axis: Axis, panels: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """One panel under the other, each with a title and some lines, which have a value for each place of the axis."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT * len(panels)}" '
        'font-family="system-ui, sans-serif" font-size="12">'
    ]
    for number, (title, lines) in enumerate(panels.items()):
        parts += [f'<g transform="translate(0 {HEIGHT * number})">', *_panel(title, axis, lines), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(title: str, axis: Axis, lines: Mapping[str, Sequence[float]]) -> list[str]:
    step = _step(max(max(values) for values in lines.values()))
    most = step * math.ceil(max(max(values) for values in lines.values()) / step)
    first, last = axis.places[0], axis.places[-1]

    def across(place: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (place - first) / (last - first)

    def up(value: float) -> float:
        return HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * value / most

    parts = [_text(LEFT, 18, title, weight="bold", anchor="start")]
    for index in range(round(most / step) + 1):
        level = up(step * index)
        parts.append(f'<path d="M{LEFT} {level:.1f}H{across(last):.1f}" stroke="{GREY}" stroke-opacity="0.4"/>')
        parts.append(_text(LEFT - 6, level + 4, f"{step * index:g}", anchor="end"))
    for label, place in zip(axis.labels, axis.places, strict=True):
        parts.append(_text(across(place), HEIGHT - BELOW + 20, label, anchor="middle"))
    free = 0.0  # names from top to bottom, which may not touch
    styled = zip(lines.items(), STYLES, strict=False)
    for (name, values), (colour, dash) in sorted(styled, key=lambda line: -line[0][1][-1]):
        points = " ".join(f"{across(at):.1f},{up(value):.1f}" for at, value in zip(axis.places, values, strict=True))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        level = max(up(values[-1]) + 4, free)
        free = level + LETTERS
        parts.append(_text(across(last) + 8, level, name, anchor="start", colour=colour))
    return parts


def _step(most: float) -> float:
    """Between two lines of the grid: a round number, and at most six of them."""
    power: float = 10 ** math.floor(math.log10(most / 6))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 6 >= most)
