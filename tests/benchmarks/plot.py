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
