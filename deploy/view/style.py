"""One style for every picture: palette, lines, sizes; as PNG for a file, as SVG for a page.

Colours are Okabe and Ito's (2008), told apart by colour-blind people; series differ in dash and mark too, so that they
can be told apart in grey. A page's SVG has variables in their place, which follow the reader's light or dark mode:
:func:`palette_css` sets them.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from typing import Any, Literal
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from deploy.view.numbers import power, si
from esvae.errors import DataError
from esvae.machine.files import atomic_file

__all__ = [
    "COLOURS",
    "INK",
    "MARKS",
    "NARROW",
    "PAPER",
    "RULE",
    "SOFT",
    "WIDE",
    "axes_or_new",
    "figure",
    "inline_svg",
    "legend",
    "line",
    "linear_axis",
    "log_axis",
    "palette_css",
    "save_picture",
    "save_png",
    "step_axis",
    "styled",
]

#: Blue, vermilion, green, purple, orange, sky blue, grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#62666d")
_DARK = ("#5aa5dc", "#e98a51", "#45b896", "#d984b3", "#cfa447", "#8fd0f5", "#9da2a9")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))
MARKS = ("o", "s", "^", "D", "v", "P", "X")
#: Of text and axes, of what steps back, of grids, and of the ground.
INK, SOFT, RULE, PAPER = "#1c1f23", "#585d64", "#d8d8d2", "#ffffff"

#: Widths of a picture in inches: on a page or in a file, and on a telephone.
WIDE, NARROW = 7.5, 3.4
_DPI = 130

_VARIABLES = {colour: f"var(--c{k})" for k, colour in enumerate(COLOURS)} | {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
}

_RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.facecolor": PAPER,
    "figure.titlesize": 9,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.markersize": 3.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


#: Goes before every function that draws: what is made in it has this style, and no text is read as mathematics.
styled = matplotlib.rc_context(_RC)


def figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with its axes, row by row; sizes in inches, options as of ``Figure.subplots``."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made, list(made.subplots(rows, columns, squeeze=False, **options).flat)


def _lay_out(made: Figure) -> None:
    """Lays a figure out, as it then stays; left to ``savefig``, that takes a whole drawing more."""
    engine = made.get_layout_engine()
    if engine is not None:
        engine.execute(made)
        made.set_layout_engine(None)


def save_png(made: Figure, target: str | os.PathLike[str]) -> None:
    """Writes a figure as PNG, whole or not at all; it keeps that resolution and layout."""
    with matplotlib.rc_context(_RC), atomic_file(target) as handle:
        made.set_dpi(_DPI)
        _lay_out(made)
        made.savefig(handle, format="png", dpi=_DPI)


def save_picture(made: Figure, target: str | os.PathLike[str]) -> None:
    """Writes a figure as PNG, or as SVG where the name ends so, whole or not at all; the same bytes every time."""
    if not os.fspath(target).lower().endswith(".svg"):
        save_png(made, target)
        return
    with matplotlib.rc_context({**_RC, "svg.fonttype": "path", "svg.hashsalt": "esvae"}), atomic_file(target) as handle:
        made.savefig(handle, format="svg", metadata={"Date": None})


def line(k: int, label: str) -> dict[str, Any]:
    """How series number ``k`` is drawn."""
    look = {"color": COLOURS[k % len(COLOURS)], "linestyle": _DASHES[k % len(_DASHES)]}
    return {**look, "marker": MARKS[k % len(MARKS)], "label": label}


def legend(made: Figure, axis: Axes, where: Literal["upper", "lower"] = "upper") -> None:
    """Names the series of an axis above or below all, in as many columns as there is room for."""
    handles, labels = axis.get_legend_handles_labels()
    longest = max(map(len, labels), default=1)
    fitting = int(made.get_figwidth() / (0.075 * longest + 0.55))
    made.legend(handles, labels, loc=f"outside {where} left", ncols=max(1, min(fitting, len(labels))))


def step_axis(axis: Axes, steps: int) -> None:
    """Steps of the window across, from 1 to ``steps``."""
    each = -(-steps // 8)
    axis.set_xticks(sorted({1, *range(each, steps + 1, each)}))
    axis.set_xlim(0.8, steps + 0.2)
    axis.set_xlabel("step")


def linear_axis(axis: Any, unit: str | None = None, *, ticks: int = 5, whole: bool = False) -> None:
    """Round numbers on ``axis.xaxis`` or ``axis.yaxis``; with SI prefixes where there is a unit, be it ``""``;
    whole ones where they count something."""
    axis.set_major_locator(MaxNLocator(ticks, steps=(1, 2, 5, 10), integer=whole))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, unit)))


def log_axis(axis: Any, low: float, high: float, unit: str | None = None, *, ticks: int = 5) -> None:
    """A logarithmic ``axis.xaxis`` or ``axis.yaxis`` over ``low`` to ``high``, with several labels on any range."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    at: Any = LogLocator(numticks=ticks + 1)
    if high < 5 * low:
        at = FixedLocator([tick for tick in MaxNLocator(ticks).tick_values(low, high) if tick > 0])
    elif ticks <= 3:
        at = LogLocator(subs=(1,) if high >= 100 * low else (1, 3), numticks=2 * ticks)
    elif high < 500 * low:
        at = LogLocator(subs=(1, 2, 5) if high < 50 * low else (1, 3), numticks=2 * ticks)
    axis.set_major_locator(at)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, unit)))
    axis.set_minor_formatter(NullFormatter())


def _tick(value: float, unit: str | None) -> str:
    """``2 mJ``; digits after the point only where they say something."""
    if unit is None:
        text = f"{value:g}" if value == 0 or abs(value) >= 1e-2 else power(value, 3)
        return text.replace("-", "−")
    number, prefixed = si(value, unit).split(" ")
    return f"{float(number):g} {prefixed}".rstrip()


def palette_css() -> str:
    """The palette as variables ``--c0`` and so on, for light and dark mode and for print."""
    light, dark = (" ".join(f"--c{k}: {colour};" for k, colour in enumerate(colours)) for colours in (COLOURS, _DARK))
    return (
        f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"@media print {{ :root {{ {light} }} }}\n"
    )


def inline_svg(draw: Callable[[float], Figure], name: str, title: str, about: str) -> str:
    """A chart for a page: drawn for wide and for narrow windows, of which the style sheet shows one.

    Args:
        draw: gives the figure of a width in inches.
        name: for identifiers; unique in the page.
        title: what it shows, in a few words, for those who do not see it.
        about: what is to be seen in it, in a sentence, likewise.
    """
    made = (
        _svg(draw(width), f"{name}-{kind}", kind, title, about) for kind, width in (("wide", WIDE), ("narrow", NARROW))
    )
    return "".join(made)


_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"


def _svg(made: Figure, name: str, kind: str, title: str, about: str) -> str:
    """An ``<svg>`` without styles, as the page allows none inline, and without what changes from run to run."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({**_RC, "svg.hashsalt": name}):
        made.patch.set_alpha(0)
        _lay_out(made)
        made.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for node in root.iter():
        _without_style(node)
        if node.tag == f"{{{_SVG}}}g":
            node.attrib.pop("id", None)
        if _HREF in node.attrib:
            node.set("href", node.attrib.pop(_HREF))
    names = {"title": (f"{name}-title", title), "desc": (f"{name}-about", about)}
    for index, (tag, (identifier, text)) in enumerate(names.items()):
        child = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": identifier})
        child.text = text
        root.insert(index, child)
    root.attrib = {
        "class": f"chart {kind}",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-about",
        "viewBox": root.attrib["viewBox"],
        "stroke-linejoin": "round",
    }
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _without_style(node: ElementTree.Element) -> None:
    """Turns a style into attributes of the same names, and the palette's colours into variables."""
    style = node.attrib.pop("style", "")
    for name, value in (part.split(":", 1) for part in style.split(";") if ":" in part):
        if name.strip() == "font":
            size = re.search(r"([\d.]+)px", value)
            node.set("font-size", size.group(1) if size else "8")
            if "700" in value or "bold" in value:
                node.set("font-weight", "700")
        else:
            node.set(name.strip(), value.strip())
    if node.tag == f"{{{_SVG}}}text":
        node.attrib.setdefault("fill", INK)
    for name in ("fill", "stroke"):
        if name in node.attrib:
            node.set(name, _VARIABLES.get(node.attrib[name].lower(), node.attrib[name]))


def axes_or_new(ax: Axes | None, **figure_options: Any) -> Axes:
    """Axes of a caller's, or a new figure's where None.

    Raises:
        DataError: something else was given.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(**figure_options)[1]
    if not isinstance(ax, Axes):
        raise DataError(f"ax: expected matplotlib Axes, as plt.subplots() gives, got {type(ax).__name__}")
    return ax
