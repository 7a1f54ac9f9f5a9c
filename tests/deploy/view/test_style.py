"""Pictures for a page: named for those who do not see them, without styles, the same every time."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from deploy.view.style import (
    COLOURS,
    INK,
    NARROW,
    RULE,
    SOFT,
    WIDE,
    figure,
    inline_svg,
    legend,
    line,
    log_axis,
    palette_css,
    step_axis,
    styled,
)

ROOT = Path(__file__).resolve().parents[3]
SVG = "{http://www.w3.org/2000/svg}"


@styled
def drawn(width: float) -> Figure:
    made, (axis,) = figure(width, 2)
    for k in range(len(COLOURS)):
        axis.plot([1, 2, 3], [k, k + 1, k], **line(k, f"<b>$x_{k}$</b>"))
    step_axis(axis, 3)
    legend(made, axis)
    return made


@pytest.fixture(scope="module")
def svg() -> str:
    return inline_svg(drawn, "chart-x", "A title", "What is & is not in it.")


def test_each_variant_is_an_image_with_a_name(svg: str) -> None:
    variants = ElementTree.fromstring(f"<body>{svg}</body>")
    assert [one.get("class") for one in variants] == ["chart wide", "chart narrow"]
    for one in variants:
        assert one.get("role") == "img"
        texts = {node.get("id"): node.text for node in one if node.tag in (f"{SVG}title", f"{SVG}desc")}
        named = [texts[name] for name in (one.get("aria-labelledby") or "").split()]
        assert named == ["A title", "What is & is not in it."]


def test_it_fills_what_room_there_is(svg: str) -> None:
    for one in ElementTree.fromstring(f"<body>{svg}</body>"):
        assert "width" not in one.attrib
        assert "height" not in one.attrib
    widths = [float(box.split()[2]) for box in re.findall(r'viewBox="([^"]*)"', svg)]
    assert widths == pytest.approx([72 * WIDE, 72 * NARROW])


def test_nothing_that_the_page_forbids_and_nothing_that_changes(svg: str) -> None:
    assert " style=" not in svg
    assert "<style" not in svg
    assert "metadata" not in svg
    assert svg == inline_svg(drawn, "chart-x", "A title", "What is & is not in it.")


def test_identifiers_are_unique_in_a_page(svg: str) -> None:
    both = svg + inline_svg(drawn, "chart-y", "Another", "Other.")
    names = re.findall(r' id="([^"]*)"', both)
    assert len(set(names)) == len(names)
    used = {*re.findall(r'href="#([^"]*)"', both), *re.findall(r"url\(#([^)]*)\)", both)}
    assert used <= set(names)


def test_text_is_text_and_no_mathematics(svg: str) -> None:
    assert "&lt;b&gt;$x_0$&lt;/b&gt;" in svg
    assert "<b>" not in svg


def test_colours_follow_the_page(svg: str) -> None:
    assert all(colour not in svg.lower() for colour in COLOURS)
    used = set(re.findall(r"var\((--c\d)\)", svg))
    assert used == {f"--c{k}" for k in range(len(COLOURS))}
    light, dark, printed = palette_css().strip().splitlines()
    assert "dark" in dark
    assert "print" in printed
    assert all(f"{name}:" in css for name in used for css in (light, dark, printed))


def test_a_page_and_its_pictures_have_one_ink() -> None:
    """Not one ground: a picture in a file stands on white."""
    light = (ROOT / "deploy" / "report" / "style.css").read_text("utf-8").partition("}")[0]
    assert [re.search(rf"--{name}: (#\w+);", light)[1] for name in ("ink", "soft", "rule")] == [INK, SOFT, RULE]  # type: ignore[index]


@pytest.mark.parametrize("high", [1.2e-3, 2e-3, 9e-3, 5e-2, 0.9, 1e3])
def test_a_logarithmic_axis_has_several_labels(high: float) -> None:
    made, (axis,) = figure(NARROW, 2)
    axis.set_xlim(1e-3, high)
    log_axis(axis.xaxis, 1e-3, high, "J")
    made.canvas.draw()
    inside = [tick for tick in axis.xaxis.get_major_ticks() if 1e-3 * 0.999 <= tick.get_loc() <= high * 1.001]
    assert len({tick.label1.get_text() for tick in inside if tick.label1.get_text()}) >= 2


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 9, 16, 64])
def test_steps_run_from_one_to_the_last(steps: int) -> None:
    _, (axis,) = figure(WIDE, 2)
    step_axis(axis, steps)
    ticks = list(axis.get_xticks())
    assert ticks[0] == 1
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= 9
    low, high = axis.get_xlim()
    assert low < 1 <= steps < high
