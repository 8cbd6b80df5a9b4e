"""The main rows as bars on a logarithmic scale of ratios to Node: an SVG that reads on light and on dark pages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from .report import ratio
from .rows import ROWS

if TYPE_CHECKING:
    from .rows import Row, Samples

__all__ = ["plot"]

LABELS, SCALE, LINE, TOP = 420, 380, 22, 46
LEAST, MOST = 1 / 32, 32.0
LETTERS = 14
"""Height of a line of text."""
GOOD, BAD, GREY = "#2f9e6e", "#d9643a", "#888888"


def plot(samples: Samples) -> str:
    """Every row that has a bar to beat Node by, drawn so that longer to the right is better."""
    rows = [(row, value) for row in ROWS if row.bar and row.bar.ratio and (value := ratio(row, samples))]
    height = TOP + LINE * len(rows) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABELS + SCALE + 70} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        _text(LABELS, 16, "times as good as Node; the notch is the bar", weight="bold", anchor="start"),
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
    assert row.bar is not None
    better, wanted = (value, row.bar.limit) if row.bar.at_least else (1 / value, 1 / row.bar.limit)
    start, end = sorted((_at(1), _at(better)))
    colour = GOOD if better >= wanted else BAD
    return [
        _text(LABELS - 8, y + 12, row.title.replace("`", ""), anchor="end"),
        f'<rect x="{start:.1f}" y="{y + 2}" width="{end - start:.1f}" height="{LINE - 8}" fill="{colour}"/>',
        f'<path d="M{_at(wanted):.1f} {y}v{LINE - 4}" stroke="{GREY}" stroke-width="2"/>',
        _text(max(end, _at(wanted)) + 6, y + 13, f"{better:.2g} ×", anchor="start"),
    ]


def _at(factor: float) -> float:
    position = math.log(min(max(factor, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LABELS + SCALE * position


def _text(x: float, y: float, text: str, *, anchor: str, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{GREY}">'
        f"{escape(text)}</text>"
    )


def curves(title: str, labels: list[str], places: list[float], lines: dict[str, list[float]]) -> str:
    """Several lines over one axis. ``places``: where on it the points are, and ``labels`` what is written there."""
    width, height, left, top = 640, 320, 50, 40
    most = max(max(values) for values in lines.values()) * 1.1
    first, last = places[0], places[-1]

    def across(place: float) -> float:
        return left + (width - left - 190) * (place - first) / (last - first)

    def up(value: float) -> float:
        return height - 40 - (height - 40 - top) * value / most

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        _text(left, 18, title, weight="bold", anchor="start"),
    ]
    for part in range(5):
        value = most * part / 4
        parts.append(f'<path d="M{left} {up(value):.1f}H{across(last):.1f}" stroke="{GREY}" stroke-opacity="0.4"/>')
        parts.append(_text(left - 6, up(value) + 4, f"{value:.0f}", anchor="end"))
    for label, place in zip(labels, places, strict=True):
        parts.append(_text(across(place), height - 20, label, anchor="middle"))
    names: list[float] = []  # heights of those written, which may not touch
    for number, (name, values) in enumerate(lines.items()):
        colour = (GOOD, BAD)[number % 2]
        dash = "" if number < 2 else ' stroke-dasharray="5 3"'
        points = " ".join(f"{across(place):.1f},{up(value):.1f}" for place, value in zip(places, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        level = up(values[-1]) + 4
        while any(abs(level - other) < LETTERS for other in names):
            level += -1 if any(level <= other < level + LETTERS for other in names) else 1
        names.append(level)
        parts.append(_text(across(last) + 8, level, name, anchor="start"))
    return "\n".join([*parts, "</svg>", ""])
