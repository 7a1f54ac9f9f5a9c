"""The little SVG that the report's charts are made of: shapes with classes, which the style sheet colours.

No attribute here is a style: the page forbids inline styles, and follows the reader's light or dark mode by classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

__all__ = ["Canvas", "letters", "linear_ticks", "log_ticks"]

#: Width of a letter of the charts' text, in its size; enough to keep labels apart.
_LETTER = 0.56
_SIZE = 12.0


class Canvas:
    """A drawing of a fixed size in user units, with a title and a description for those who do not see it.

    Args:
        width, height: user units, which are pixels where there is room.
        title: what it shows, in a few words.
        about: what is to be seen in it, in a sentence.
        name: for the identifiers in the page; unique in it.
    """

    def __init__(self, width: float, height: float, title: str, about: str, name: str) -> None:
        self.width, self.height = width, height
        self._title, self._about, self._name = title, about, name
        self._parts: list[Markup] = []

    def rect(self, x: float, y: float, width: float, height: float, style: str, tip: str = "") -> None:
        """A rectangle; ``tip`` is shown when the pointer rests on it."""
        inner = Markup("<title>{}</title>").format(tip) if tip else Markup("")
        self._parts.append(
            Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}">{}</rect>').format(
                *map(_plain, (x, y, max(width, 0.0), max(height, 0.0))), style, inner
            )
        )

    def line(self, x0: float, y0: float, x1: float, y1: float, style: str) -> None:
        """A straight line."""
        self._parts.append(
            Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(*map(_plain, (x0, y0, x1, y1)), style)
        )

    def path(self, points: Sequence[tuple[float, float]], style: str, *, closed: bool = False) -> None:
        """A broken line through points, or the area that it encloses."""
        corners = "L".join(f"{_plain(x)} {_plain(y)}" for x, y in points)
        self._parts.append(Markup('<path d="M{}{}" class="{}"/>').format(corners, "Z" if closed else "", style))

    def dot(self, x: float, y: float, radius: float, style: str) -> None:
        """A filled circle."""
        self._parts.append(
            Markup('<circle cx="{}" cy="{}" r="{}" class="{}"/>').format(*map(_plain, (x, y, radius)), style)
        )

    def text(self, x: float, y: float, words: str, anchor: str = "start", style: str = "") -> None:
        """Words whose middle is at the height ``y``; anchor start, middle or end."""
        self._parts.append(
            Markup('<text x="{}" y="{}" text-anchor="{}" dy="0.35em" class="{}">{}</text>').format(
                _plain(x), _plain(y), anchor, style, words
            )
        )

    def legend(self, x: float, y: float, entries: Sequence[tuple[str, str]], *, width: float | None = None) -> float:
        """Boxes with names, in rows that end at ``width``; gives the height after the last row."""
        left, end = x, width if width is not None else self.width
        for style, name in entries:
            taken = 18 + letters(name) + 18
            if left > x and left + taken > end:
                left, y = x, y + 20
            self.rect(left, y - 6, 12, 12, style)
            self.text(left + 18, y, name)
            left += taken
        return y + 20

    def markup(self) -> Markup:
        """The whole element, to be put into a page."""
        label = f"{self._name}-title"
        about = f"{self._name}-about"
        head = Markup(
            '<svg class="chart" role="img" aria-labelledby="{0} {1}" viewBox="0 0 {2} {3}" '
            'xmlns="http://www.w3.org/2000/svg"><title id="{0}">{4}</title><desc id="{1}">{5}</desc>'
        ).format(label, about, _plain(self.width), _plain(self.height), self._title, self._about)
        return head + Markup("").join(self._parts) + Markup("</svg>")


def letters(words: str) -> float:
    """About how wide words are in the charts' text."""
    return _LETTER * _SIZE * len(words)


def linear_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, about as many as wanted.

    >>> linear_ticks(0, 97)
    [0.0, 20.0, 40.0, 60.0, 80.0]
    """
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return [low]
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from ``low`` to ``high``; every second or third one where they are many.

    >>> log_ticks(0.5, 200)
    [1.0, 10.0, 100.0]
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / 6))
    return [10.0**power for power in range(first, last + 1, step)]


def _plain(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
