"""Sentences: plurals, and lines that are broken at words alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.view.prose import counted, in_lines, training_line


@pytest.mark.parametrize(("number", "text"), [(0, "0 images"), (1, "1 image"), (5000, "5,000 images")])
def test_counted(number: int, text: str) -> None:
    assert counted(number, "image") == text


@given(st.lists(st.text("abc123.,%µ×⁻-/", min_size=1, max_size=30), max_size=30), st.integers(1, 120))
def test_words_stay_whole_and_lines_short(words: list[str], width: int) -> None:
    text = in_lines(" ".join(words), width)
    assert text.split() == words
    for line in text.splitlines():
        assert len(line) <= width or len(line.split()) == 1 or any(tie in line for tie in ("%", "×"))


@pytest.mark.parametrize("quantity", ["1.78 µs", "7 %", "1.5 × 10⁻³", "64 images", "1 image", "30,808 bytes"])
@pytest.mark.parametrize("width", range(3, 40))
def test_quantities_stay_whole(quantity: str, width: int) -> None:
    lines = in_lines(f"takes {quantity} of what there is, and {quantity}", width).splitlines()
    assert sum(quantity in line for line in lines) >= 1
    assert " ".join(lines).count(quantity) == "\n".join(lines).count(quantity) == 2


def test_blanks_at_the_beginning_stand_before_every_line() -> None:
    assert in_lines("  fix: this is long", 12).splitlines() == ["  fix: this", "  is long"]


def test_training_line_before_and_after_the_first_epoch() -> None:
    assert training_line(0.04321, {}) == "MSE 0.0432"
    rates = {"encoder.layers.0": 0.9, "decoder.layers.0": 0.25, "decoder.layers.1": 0.15}
    epoch = {"rates": rates, "synops": {"decoder.layers.0": 1_000_000.0, "decoder.readout": 234_567.0}}
    assert training_line(0.04321, epoch) == "MSE 0.0432, rate 0.200, 1.23 M synops an image"
    assert training_line(1, {**epoch, "synops": {"decoder.readout": 12.0}}).endswith(", 12.0 synops an image")
