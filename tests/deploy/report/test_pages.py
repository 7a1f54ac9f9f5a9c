"""Pages and charts as people see them, in Chromium: three widths, light, dark and print.

``tests/audit.js`` says what leaves its box, what lies on top of something else, and what has too little contrast;
axe-core, where ``scripts/axe`` has fetched it, what else keeps people from reading.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from browser import Browser, Page, browser
from deploy.compare import LayerHistogram
from deploy.report.render import render_html
from deploy.sweep.grid import Point
from deploy.sweep.plot import draw_front
from deploy.sweep.run import Entry, Sweep
from deploy.sweep.types import SweepProtocol
from deploy.view.comparison import draw_noise
from deploy.view.histograms import draw_histograms
from deploy.view.outline import draw_outline
from deploy.view.plots import draw_raster
from deploy.view.style import inline_svg, palette_css
from deploy.view.table import plain

AUDIT = (Path(__file__).resolve().parents[2] / "audit.js").read_text("utf-8")
AXE = Path(sys.prefix, "share", "axe-core", "axe.min.js")
REPORT = Path(__file__).resolve().parents[3] / "deploy" / "report"
WIDTHS = (1280, 768, 390)
_A4 = 695  # pixels at 96 a inch, of 210 mm without the margins


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser") / "profile") as started:
        yield started


def findings(page: Page) -> list[str]:
    """What is wrong at each width on the screen, light and dark, and in print."""
    found = []
    for width in WIDTHS:
        page.resize(width)
        for scheme in ("light", "dark"):
            page.show_as(scheme)
            found += [f"{width}, {scheme}: {line}" for line in page.run(AUDIT)]
    page.resize(_A4)
    page.show_as("dark", "print")
    return found + [f"print: {line}" for line in page.run(AUDIT)]


def test_nothing_of_the_report_leaves_its_box(work: Path, chromium: Browser) -> None:
    page = chromium.open(work / "r.html")
    assert findings(page) == []


def test_a_long_path_breaks(work: Path, chromium: Browser, tmp_path: Path) -> None:
    content = json.loads((work / "r.json").read_text("utf-8"))
    long = "/data/" + "a_folder_whose_name_has_no_blank_/" * 3
    content["comparison"]["distribution"]["missing"] = {"fad": f"{long}: no FAD autoencoder"}
    content["warnings"] = [f"{long} is missing."]
    content["title"] = "a_run_with_a_name_that_is_longer_than_a_telephone_is_wide"
    (tmp_path / "long.html").write_text(render_html(content), "utf-8")
    page = chromium.open(tmp_path / "long.html", width=390)
    assert page.run(AUDIT) == []
    assert page.run("document.querySelector('h1').textContent") == content["title"]


def front(dominated: bool) -> Sweep:
    """Four exports over two decades of energy."""
    entries = []
    for k, (bits, steps) in enumerate(((8, 16), (8, 8), (4, 8), (2, 8))):
        quality = {"reconstruction": {"value": 0.03 * 1.6**k, "low": 0.028 * 1.6**k, "high": 0.033 * 1.6**k}}
        outcome = {"quality": quality, "energy": {"loihi2_anchored": {"joules": 9e-4 / 4**k}}}
        entries.append(Entry(Point(bits, steps), str(k), "evaluated", outcome, None, front=not dominated or k != 1))
    protocol = SweepProtocol(64, 64, 0, ("reconstruction",), ("loihi2_anchored",))
    return Sweep("runs/digits", "0", 16, "reconstruction", "loihi2_anchored", protocol, tuple(entries), ())


def raster() -> list[np.ndarray]:
    """Spikes of an input and two layers over eight steps; the last layer is silent."""
    dice = np.random.default_rng(0)
    return [dice.random((8, 32)) < 0.4, dice.random((8, 300)) < 0.2, np.zeros((8, 16), bool)]


def noise() -> list[dict[str, Any]]:
    """Curves of one kind of noise each."""
    levels = [0.0, 0.1, 0.2]
    ends = [{"value": 0.03 + x, "low": 0.02 + x, "high": 0.04 + x} for x in levels]
    loss = [{"float": one, "quantized": one} for one in ends]
    return [{"kind": kind, "levels": levels, "loss": loss, "analogue": []} for kind in ("input", "latent")]


def histograms(last: str) -> list[dict[str, Any]]:
    """Of seven layers, some of whose values have many digits."""
    shares = np.random.default_rng(0).dirichlet(np.ones(48)).tolist()
    rows = [LayerHistogram(f"layer {k} (dense_rec)", "weight", "thresholds", (), (), ()) for k in range(7)]
    rows[-1] = replace(rows[-1], quantity="membrane potential", unit=last)
    edges = [np.linspace(-(10.0 ** (k - 3)), 7.77 * 10 ** (k - 3), 49).tolist() for k in range(7)]
    return [
        {**plain(row), "edges": e, "float": shares, "quantized": shares} for row, e in zip(rows, edges, strict=True)
    ]


STAGES = [
    {"layer": f"layer {k} (convT)", "shape": [512, 128, 64], "neurons": 4_194_304, "kernel": "11 × 11, stride 2"}
    | {"synapses": 1_234_567_890, "cores": 128}
    for k in range(8)
]
CHARTS: dict[str, Callable[[float], Figure]] = {
    "histograms": lambda width: draw_histograms(histograms("before tanh"), width),
    "outline": lambda width: draw_outline(STAGES, width),
    "front": lambda width: draw_front(front(dominated=True), width),
    "raster": lambda width: draw_raster(
        {"steps": 8, "layers": [{"layer": "layer 1 (conv)"}, {"layer": "layer 2 (dense)"}]}, raster(), width
    ),
    "noise": lambda width: draw_noise(noise(), width),
}


def test_no_label_of_the_other_charts_leaves_its_chart(tmp_path: Path, chromium: Browser) -> None:
    style = palette_css() + (REPORT / "style.css").read_text("utf-8")
    charts = "".join(inline_svg(draw, name, name, name) for name, draw in CHARTS.items())
    file = tmp_path / "charts.html"
    file.write_text(f"<!DOCTYPE html><meta charset=utf-8><style>{style}</style><main>{charts}</main>", "utf-8")
    assert findings(chromium.open(file)) == []


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        ("<p style='width: 10px; white-space: nowrap'>wide words in a narrow box</p>", "leaves its box"),
        ("<div style='width: 2000px'>wide</div>", "the page is"),
        ("<p style='color: #999; background: #fff'>pale</p>", "contrast 2.85"),
        ("<svg class='chart' viewBox='0 0 99 9'><text x='90' y='8' font-size='9'>beyond</text></svg>", "its chart"),
        (
            "<svg class='chart' viewBox='0 0 99 9'><text y='8' font-size='6'>one</text>"
            "<text x='2' y='8' font-size='6'>other</text></svg>",
            'lies on "other"',
        ),
    ],
)
def test_the_audit_finds_faults(content: str, finding: str, tmp_path: Path, chromium: Browser) -> None:
    file = tmp_path / "page.html"
    file.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{content}", "utf-8")
    found = chromium.open(file, width=600).run(AUDIT)
    assert any(finding in line for line in found), found


def test_axe_finds_nothing_in_the_report(work: Path, chromium: Browser) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not there (sh scripts/axe fetches it with npm)")
    rules = "{resultTypes: ['violations']}"
    for width, dark in ((1280, False), (390, True)):
        page = chromium.open(work / "r.html", width=width, dark=dark)
        page.run(AXE.read_text("utf-8") + "; 0")
        assert page.run(f"axe.run(document, {rules}).then(done => done.violations.map(v => v.help))") == []


def test_what_could_not_be_computed_is_said_once(work: Path) -> None:
    content = json.loads((work / "r.json").read_text("utf-8"))
    missing = content["comparison"]["distribution"]["missing"]
    assert set(missing) == {"fad", "kid", "precision", "recall"}
    page = render_html(content)
    assert page.count("esvae fad train digits") == 1
    assert "FAD, KID, precision, recall were not computed." in page


def test_dominated_stands_in_the_legend_only_where_a_point_is() -> None:
    for dominated in (True, False):
        labels = [text.get_text() for text in draw_front(front(dominated)).legends[0].get_texts()]
        assert any("dominated" in label for label in labels) == dominated
