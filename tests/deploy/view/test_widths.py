"""What every command prints, at terminals of several widths: no number is cut, no line is broken within a word."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from command import call
from deploy.view import console
from every_command import CASES, write_inputs

WIDTHS = (80, 100, 160)
#: These train, or run Lava; their tables are drawn by what draws the others' too.
LONG = {"demo", "fad train", "sweep", "train", "autoencode"}
#: A number with what belongs to it.
NUMBER = re.compile(r"(?<![\w./\\-])[-+]?\d[\d,.]*(?: ?[%×] ?(?:10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?)?")
CUT = re.compile(r"\d\s?(?:…|\.\.\.)|(?:…|\.\.\.)\s?\d")

Said = list[tuple[Callable[..., None], Any]]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_inputs(tmp_path_factory.mktemp("widths"))


def told(words: list[str], code: int, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Said:
    """What a command tells the console, kept instead of printed."""
    kept: Said = []
    with monkeypatch.context() as patched:
        for each in ("say", "say_text", "print_tables"):
            real = getattr(console, each)
            patched.setattr(console, each, lambda what, real=real: kept.append((real, what)))
        found, _, errors = call(capsys, *words)
    assert found == code, errors
    return kept


def shown(kept: Said, width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same at a terminal of so many columns."""
    out = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(console, "_out", Console(file=out, width=width, highlight=False))
        patched.setattr(console, "_in_columns", True)
        for real, what in kept:
            real(what)
    return out.getvalue()


def numbers(text: str) -> set[str]:
    return {found.strip() for found in NUMBER.findall(text)}


def names() -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in CASES]


@pytest.mark.parametrize("name", names())
def test_no_number_is_cut(
    name: str,
    inputs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES[name]
    said = told(case.filled(inputs, f"{tmp_path}/"), case.code, capsys, monkeypatch)
    assert said
    texts = {width: shown(said, width, monkeypatch) for width in WIDTHS}
    wide = numbers(texts[WIDTHS[-1]])
    for width, text in texts.items():
        assert not CUT.search(text), f"{width} columns: {CUT.search(text)}\n{text}"
        for line in text.splitlines():
            assert len(line) <= width or len(line.split()) == 1, f"{width} columns, {len(line)}: {line}"
        assert numbers(text) >= wide, f"{width} columns: {wide - numbers(text)}\n{text}"
        assert not re.search(r"\b1 (images|steps|layers|cores|chips|points)\b", text), text
        assert not re.search(r"\{\d+: ", text), text


def test_a_cut_number_would_be_seen() -> None:
    assert CUT.search("3,0…")
    assert CUT.search("3,0...")
    assert not CUT.search("1-2, ...")
