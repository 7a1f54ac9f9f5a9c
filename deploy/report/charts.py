"""The report's charts as SVG, each from the very numbers of the table beside it.

Series differ in hue, in lightness, and in dash or by a name written at them, so that they can be told apart in print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from deploy.report.svg import Canvas, letters, linear_ticks, log_ticks
from deploy.view.units import si

__all__ = ["Bar", "Curve", "Range", "bars", "cores", "curves", "histogram", "ranges", "shares"]

_WIDTH = 720.0
_ROW = 30.0
_COLOURS = 7
_CHIPS = 4  # drawn at most
_TILE, _GAP = 30.0, 4.0


@dataclass(frozen=True)
class Bar:
    """A bar with a whisker: its name, length, ends of the whisker (or None), and what is written behind it."""

    name: str
    value: float
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True)
class Curve:
    """A curve over equally spaced places, with a band of ``spread`` to both sides where there is one."""

    name: str
    values: Sequence[float]
    spread: Sequence[float] | None = None


@dataclass(frozen=True)
class Range:
    """A value with its range."""

    name: str
    value: float
    low: float
    high: float


def bars(name: str, title: str, axis: str, rows: Sequence[Bar], label: Callable[[float], str] = str) -> Markup:
    """Horizontal bars from zero."""
    left = _margin([row.name for row in rows])
    text = max((letters(row.text) for row in rows), default=0.0) + 14
    right = _WIDTH - text
    most = max([row.high if row.high is not None else row.value for row in rows] + [row.value for row in rows])
    scale = (right - left) / (most or 1.0)
    height = _ROW * len(rows)
    largest = max(rows, key=lambda row: row.value)
    canvas = Canvas(_WIDTH, height + 46, title, f"The largest is {largest.name}: {largest.text}.", name)
    for tick in linear_ticks(0, most or 1.0, 4):
        x = left + scale * tick
        canvas.line(x, 0, x, height, "grid")
        canvas.text(x, height + 12, label(tick), "middle", "faint")
    for index, row in enumerate(rows):
        y = _ROW * (index + 0.5)
        canvas.text(left - 8, y, row.name, "end")
        canvas.rect(left, y - 9, scale * row.value, 18, "c0", f"{row.name}: {row.text}")
        end = row.value
        if row.low is not None and row.high is not None:
            _whisker(canvas, left + scale * row.low, left + scale * row.high, y)
            end = max(end, row.high)
        canvas.text(left + scale * end + 8, y, row.text)
    canvas.line(left, 0, left, height, "axis")
    canvas.text((left + right) / 2, height + 34, axis, "middle", "faint")
    return canvas.markup()


def curves(
    name: str, title: str, across: str, up: str, lines: Sequence[Curve], *, first: int = 0, logarithmic: bool = False
) -> Markup:
    """Curves over whole numbers from ``first`` on, each with its name at its end."""
    count = max(len(line.values) for line in lines)
    left, top, bottom = 58.0, 28.0, 240.0
    right = _WIDTH - max(letters(line.name) for line in lines) - 16
    ends = [value for line in lines for value in _ends(line) if not logarithmic or value > 0]
    high = max(ends, default=1.0) or 1.0
    low = min(ends, default=high / 10) if logarithmic else 0.0
    if logarithmic and low == high:
        low = high / 10

    def place(index: int, value: float) -> tuple[float, float]:
        x = left + (right - left) * (index / (count - 1) if count > 1 else 0.5)
        share = math.log(max(value, low) / low) / math.log(high / low) if logarithmic else value / high
        return x, bottom - (bottom - top) * min(share, 1.0)

    about = "; ".join(f"{line.name} from {line.values[0]:.3g} to {line.values[-1]:.3g}" for line in lines)
    canvas = Canvas(_WIDTH, bottom + 44, title, f"{about}.", name)
    for tick in log_ticks(low, high) if logarithmic else linear_ticks(0, high, 4):
        y = place(0, tick)[1]
        canvas.line(left, y, right, y, "grid")
        canvas.text(left - 8, y, f"{tick:.3g}", "end", "faint")
    for tick in linear_ticks(first, first + count - 1, 8):
        if tick == int(tick):
            x = place(int(tick) - first, high)[0]
            canvas.text(x, bottom + 14, str(int(tick)), "middle", "faint")
    for index, line in enumerate(lines):
        colour = index % _COLOURS
        if line.spread is not None:
            pairs = list(zip(line.values, line.spread, strict=True))
            outline = [place(i, v + s) for i, (v, s) in enumerate(pairs)]
            outline += [place(i, max(v - s, 0.0)) for i, (v, s) in reversed(list(enumerate(pairs)))]
            canvas.path(outline, f"c{colour} band", closed=True)
        canvas.path([place(i, value) for i, value in enumerate(line.values)], f"l{colour} curve")
    named = sorted((place(len(line.values) - 1, line.values[-1])[1], index) for index, line in enumerate(lines))
    for y, index in _apart(named, top, bottom):
        canvas.text(right + 8, y, lines[index].name, style=f"t{index % _COLOURS}")
    canvas.line(left, bottom, right, bottom, "axis")
    canvas.text((left + right) / 2, bottom + 34, across, "middle", "faint")
    canvas.text(left, 10, up, "start", "faint")
    return canvas.markup()


def _ends(line: Curve) -> list[float]:
    spread = line.spread or [0.0] * len(line.values)
    return [value + extra for value, extra in zip(line.values, spread, strict=True)] + list(line.values)


def _apart(places: list[tuple[float, int]], top: float, bottom: float, gap: float = 15.0) -> list[tuple[float, int]]:
    """Heights, in order, moved so that neighbours are ``gap`` apart."""
    moved: list[tuple[float, int]] = []
    for y, index in places:
        moved.append((max(y, moved[-1][0] + gap if moved else top), index))
    over = max(0.0, moved[-1][0] - bottom) if moved else 0.0
    limit = bottom
    for at in range(len(moved) - 1, -1, -1):
        if over and moved[at][0] > limit:
            moved[at] = (limit, moved[at][1])
        limit = moved[at][0] - gap
    return moved


def ranges(name: str, title: str, axis: str, rows: Sequence[Range], unit: str) -> Markup:
    """Values with their ranges on a logarithmic axis."""
    shown = [row for row in rows if row.low > 0]
    left = _margin([row.name for row in rows])
    texts = [si(row.value, unit) for row in rows]
    right = _WIDTH - max(letters(text) for text in texts) - 14
    low = 10.0 ** math.floor(math.log10(min((row.low for row in shown), default=0.1)) - 1e-9)
    high = 10.0 ** math.ceil(math.log10(max((row.high for row in shown), default=1.0)) + 1e-9)
    if high <= low:
        high = 10 * low
    height = _ROW * len(rows)
    about = "; ".join(f"{row.name} {text}" for row, text in zip(rows, texts, strict=True))
    canvas = Canvas(_WIDTH, height + 46, title, f"{about}.", name)

    def across(value: float) -> float:
        return left + (right - left) * math.log(value / low) / math.log(high / low)

    for tick in log_ticks(low, high):
        canvas.line(across(tick), 0, across(tick), height, "grid")
        canvas.text(across(tick), height + 12, si(tick, unit).replace(".00 ", " "), "middle", "faint")
    for index, (row, text) in enumerate(zip(rows, texts, strict=True)):
        y = _ROW * (index + 0.5)
        canvas.text(left - 8, y, row.name, "end")
        if row.low > 0:
            canvas.line(across(row.low), y, across(row.high), y, "l0 range")
            canvas.dot(across(row.value), y, 5.5, "c0 dot")
        canvas.text(right + 10, y, text)
    canvas.text((left + right) / 2, height + 34, axis, "middle", "faint")
    return canvas.markup()


def shares(name: str, title: str, axis: str, rows: Mapping[str, Mapping[str, float]], parts: Sequence[str]) -> Markup:
    """Parts of a whole, each row stacked to 100 %."""
    left, right = _margin(list(rows)), _WIDTH - 20
    height = _ROW * len(rows)
    canvas = Canvas(_WIDTH, height + 46 + 20 * math.ceil(len(parts) / 3), title, _largest_parts(rows), name)
    for index, (row, amounts) in enumerate(rows.items()):
        y, x = _ROW * (index + 0.5), left
        total = sum(amounts.values())
        canvas.text(left - 8, y, row, "end")
        for part, amount in amounts.items():
            width = (right - left) * amount / total if total else 0.0
            share = f"{amount / total:.0%}" if total else ""
            canvas.rect(x, y - 9, width, 18, f"c{parts.index(part) % _COLOURS} piece", f"{row}, {part}: {share}")
            if width > 40:
                canvas.text(x + width / 2, y, share, "middle", "inside")
            x += width
    for tick in (0, 25, 50, 75, 100):
        canvas.text(left + (right - left) * tick / 100, height + 10, f"{tick}", "middle", "faint")
    canvas.text((left + right) / 2, height + 28, axis, "middle", "faint")
    canvas.legend(left, height + 52, [(f"c{k % _COLOURS}", part) for k, part in enumerate(parts)])
    return canvas.markup()


def _largest_parts(rows: Mapping[str, Mapping[str, float]]) -> str:
    said = []
    for row, amounts in rows.items():
        total = sum(amounts.values())
        if total:
            part = max(amounts, key=lambda key: amounts[key])
            said.append(f"{row}: mostly {part}, {amounts[part] / total:.0%}")
    return "; ".join(said) + "."


def histogram(name: str, title: str, axis: str, values: Sequence[float], marks: Mapping[str, float]) -> Markup:
    """How often values fall into equal intervals, with named values marked."""
    left, right, top, bottom = 40.0, _WIDTH - 20, 34.0, 200.0
    low, high = min(values), max(values)
    if high <= low:
        low, high = low - abs(low) / 2 - 1e-12, high + abs(high) / 2 + 1e-12
    count = max(5, min(24, round(2 * math.sqrt(len(values)))))
    edges = [low + (high - low) * k / count for k in range(count + 1)]
    heights = [0] * count
    for value in values:
        heights[min(int((value - low) / (high - low) * count), count - 1)] += 1
    most = max(heights)
    said = "; ".join(f"{key} {value:.3g}" for key, value in marks.items())
    canvas = Canvas(_WIDTH, bottom + 44, title, f"{len(values)} values from {low:.3g} to {high:.3g}; {said}.", name)

    def across(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    for tick in linear_ticks(0, most, 4):
        if tick == int(tick):
            y = bottom - (bottom - top) * tick / most
            canvas.line(left, y, right, y, "grid")
            canvas.text(left - 8, y, str(int(tick)), "end", "faint")
    for edge, following, number in zip(edges, edges[1:], heights, strict=False):
        tall = (bottom - top) * number / most
        tip = f"{edge:.3g} to {following:.3g}: {number}"
        canvas.rect(across(edge) + 0.75, bottom - tall, across(following) - across(edge) - 1.5, tall, "c0", tip)
    for tick in linear_ticks(low, high, 6):
        canvas.text(across(tick), bottom + 14, f"{tick:.3g}", "middle", "faint")
    for index, (key, value) in enumerate(marks.items()):
        x, y = across(value), 6 + 15 * (index % 2)
        canvas.line(x, y + 8, x, bottom, "mark")
        end = "end" if x > (left + right) / 2 else "start"
        canvas.text(x + (-4 if end == "end" else 4), y, f"{key} {value:.3g}", end)
    canvas.line(left, bottom, right, bottom, "axis")
    canvas.text((left + right) / 2, bottom + 34, axis, "middle", "faint")
    return canvas.markup()


def cores(name: str, title: str, about: str, chip: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> Markup:
    """The cores of a chip as tiles: coloured by layer, filled from below as far as the fullest limit of each is used.

    Args:
        name, title, about: see :class:`~deploy.report.svg.Canvas`.
        chip: ``cores`` and ``mesh``, tiles to a row.
        layers: ``layer`` and ``core_use``: for each of its cores the share of its fullest limit.
    """
    filled = [(k, use) for k, layer in enumerate(layers) for use in layer["core_use"]]
    per_chip, columns = chip["usable_cores"], 2 * chip["mesh"]
    chips = max(1, min(_CHIPS, math.ceil(len(filled) / per_chip)))
    rows = math.ceil(chip["cores"] / columns)
    pitch = _TILE + _GAP
    high = rows * pitch + 20
    canvas = Canvas(_WIDTH, chips * high + 20 * math.ceil(len(layers) / 5), title, about, name)
    for number in range(chips):
        for core in range(chip["cores"]):
            x = 40 + core % columns * pitch
            y = 1 + number * high + core // columns * pitch
            spare = core >= per_chip
            canvas.rect(x, y, _TILE, _TILE, "spare" if spare else "tile")
            index = number * per_chip + core
            if not spare and index < len(filled):
                layer, use = filled[index]
                tall = _TILE * min(use, 1.0)
                tip = f"core {index}: {layers[layer]['layer']}, {use:.0%} full"
                canvas.rect(x, y + _TILE - tall, _TILE, tall, f"c{layer % _COLOURS}", tip)
                canvas.text(x + _TILE / 2, y + _TILE / 2, str(layer), "middle", "onfill" if use > 0.6 else "")
    entries = [(f"c{k % _COLOURS}", f"layer {layer['layer']}") for k, layer in enumerate(layers)]
    canvas.legend(40, chips * high + 6, entries)
    return canvas.markup()


def _margin(names: Sequence[str]) -> float:
    return max(map(letters, names), default=0.0) + 16


def _whisker(canvas: Canvas, low: float, high: float, y: float) -> None:
    canvas.line(low, y, high, y, "whisker")
    canvas.line(low, y - 5, low, y + 5, "whisker")
    canvas.line(high, y - 5, high, y + 5, "whisker")
