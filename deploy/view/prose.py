"""Sentences for people: counted things, and lines that are broken at words but never within a quantity."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from deploy.view.numbers import si

__all__ = ["binding_words", "counted", "in_lines", "training_line"]

#: Between a number and its unit; no line is broken there, as :mod:`textwrap` breaks at ASCII blanks alone.
_TIED = "\N{NO-BREAK SPACE}"
#: The blanks of ``1.78 µs``, ``7 %``, ``1.5 × 10⁻³`` and ``64 images``.
_WITHIN = re.compile(r"(?<=\d) (?=[%×]|[fpnµmkMG]?[JsWB]\b|bytes?\b|images?\b|steps?\b|bits?\b)|(?<=×) (?=\d)")


def counted(number: float, noun: str) -> str:
    """A number of things, in the plural where there is not one of them.

    >>> counted(1, "image"), counted(5000, "image")
    ('1 image', '5,000 images')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def binding_words(limit: str) -> str:
    """Which limit of a chip is reached first.

    >>> binding_words("memory"), binding_words("neurons")
    ('memory binds', 'neurons bind')
    """
    return f"{limit} {'bind' if limit.endswith('s') else 'binds'}"


def in_lines(text: str, width: int) -> str:
    """``text`` in lines of at most ``width`` columns; a word, such as a path, that is longer has a line of its own.

    Blanks at the beginning stand before every line.
    """
    indent = text[: len(text) - len(text.lstrip())]
    lines = textwrap.wrap(
        _WITHIN.sub(_TIED, text),
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_TIED, " ")


def training_line(mse: float, epoch: Mapping[str, Any]) -> str:
    """How a training goes: the step's reconstruction MSE, and what the decoder did after the last epoch.

    Args:
        mse: of the step.
        epoch: the last epoch's record, see :data:`esvae.training.TrainingProgress`.

    >>> training_line(0.0432, {"rates": {"decoder.layers.0": 0.25}, "synops": {"decoder.readout": 1234567.0}})
    'MSE 0.0432, rate 0.250, 1.23 M synops an image'
    """
    rates = [rate for name, rate in epoch.get("rates", {}).items() if name.startswith("decoder.")]
    if not rates:
        return f"MSE {mse:.4f}"
    synops = si(sum(epoch["synops"].values()), "").rstrip()
    return f"MSE {mse:.4f}, rate {sum(rates) / len(rates):.3f}, {synops} synops an image"
