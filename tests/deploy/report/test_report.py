"""The report: what it says, that run and file belong together, that text stays text, and that Chromium opens it."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from browser import browser
from command import call
from deploy.report.render import render_html, write_report

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what no chart shows."""
    monkeypatch.setattr("deploy.report.render.figures", lambda shown: {})


@pytest.fixture
def content(work: Path) -> dict[str, Any]:
    return json.loads((work / "r.json").read_text("utf-8"))


def test_json_says_the_same_as_the_page(work: Path, content: dict[str, Any]) -> None:
    page = (work / "r.html").read_text("utf-8")
    assert page == render_html(content)
    assert (content["format"], content["version"]) == ("esvae-report", 1)
    assert content["network"]["content_hash"] in page
    assert f"{content['verification']['compared']['integers']:,}" in page
    assert len(page) < 5_000_000


def test_text_from_files_stays_text(work: Path, content: dict[str, Any]) -> None:
    page = (work / "r.html").read_text("utf-8")
    assert content["title"] == HOSTILE
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.usefixtures("no_charts")
def test_a_generator_on_the_chip(work: Path, content: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The decoder's rounding is that of the host's file; circuit and latents are counted, and mapped to cores."""
    assert call(capsys, "export", work / "run", "-o", work / "chip.net", "--generator", "chip")[0] == 0
    options = ["--net", work / "chip.net", "-o", work / "chip.html", "-n", 12, "--against", "reference"]
    assert call(capsys, "report", work / "run", *options)[0] == 0
    found = json.loads((work / "chip.json").read_text("utf-8"))
    assert found["belongs"] is True
    assert found["layers"]["quantization_known"] is True
    assert found["layers"]["rows"] == content["layers"]["rows"]
    kinds = ["circuit 1 (dense_rec)", "circuit 2 (dense)"]
    assert [row["layer"] for row in found["fit"]["layers"][:2]] == kinds
    assert [row["layer"] for row in found["operations"]["layers"][:2]] == kinds
    assert found["summary"]["fit"]["cores"] == content["summary"]["fit"]["cores"] + 2
    assert found["verification"]["compared"]["layers"] == content["verification"]["compared"]["layers"] + 2
    page = (work / "chip.html").read_text("utf-8")
    assert "pictures of spikes that the host draws" in page
    assert "pictures of spikes that the host draws" not in (work / "r.html").read_text("utf-8")


def test_every_estimate_is_called_one(content: dict[str, Any]) -> None:
    assert all(one["label"] == "estimate" and one["basis"] for one in content["energy"]["estimates"])
    assert content["summary"]["energy"]["label"] == "estimate"


@pytest.mark.usefixtures("no_charts")
def test_a_file_of_another_run_is_refused_unless_forced(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--net", work / "r.net", "-o", tmp_path / "x.html", "-n", 4, "--against", "reference"]
    status, _, told = call(capsys, "report", work / "other", *options)
    assert status == 1
    assert "error: " in told
    assert not (tmp_path / "x.html").exists()
    assert call(capsys, "report", work / "other", *options, "--force")[0] == 0
    forced = json.loads((tmp_path / "x.json").read_text("utf-8"))
    assert forced["belongs"] is False
    assert "forced" in (tmp_path / "x.html").read_text("utf-8")
    assert forced["layers"]["quantization_known"] is False


@pytest.mark.usefixtures("no_charts")
def test_a_backend_that_differs_is_said_at_the_top(content: dict[str, Any]) -> None:
    changed = copy.deepcopy(content)
    changed["verification"]["equal"] = changed["summary"]["verification"]["equal"] = False
    changed["summary"]["verification"].update(backends=[], differing=["lava"])
    page = render_html(changed)
    assert "Bit-exact" not in page
    assert "lava differs from the twin" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "r.txt"], "ends in .html"),
        (["-o", "r.html", "-n", "1"], "expected at least 2"),
        (["-o", "r.html", "--against", "twin"], "expected some of"),
        (["-o", "r.html", "--chip", "tpu"], "expected loihi2 or loihi1"),
    ],
)
def test_mistakes_are_one_line(
    work: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work.parent)
    status, _, told = call(capsys, "report", work / "run", *options)
    assert status == 1
    assert message in told


def test_nothing_is_left_of_a_report_that_cannot_be_written(content: dict[str, Any], tmp_path: Path) -> None:
    bad = {**content, "title": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        write_report(bad, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_in_chromium(work: Path, tmp_path: Path) -> None:
    page_file = work / "r.html"
    with browser(tmp_path / "profile") as chromium:
        page = chromium.open(page_file)
        assert page.complaints() == []
        assert page.requests() == [page_file.resolve().as_uri()]
        assert page.run("document.title").startswith(HOSTILE)
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        page.key("Tab", 9)
        assert page.run("document.activeElement.className") == "skip"
        page.run("document.querySelector('input.slide').focus()")
        page.key("ArrowRight", 39)
        page.key("ArrowRight", 39)
        assert page.run("document.querySelector('input.slide').value") == "52"
        cut = "getComputedStyle(document.querySelector('.frame .over')).clipPath"
        assert "48%" in page.run(cut)
        levels = page.run("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert page.run("[...document.querySelectorAll('img')].every(i => i.naturalWidth && i.alt)")
        charts = "[...document.querySelectorAll('svg')]"
        named = "c.getAttribute('aria-labelledby').split(' ').every(n => document.getElementById(n).textContent.trim())"
        assert page.run(f"{charts}.length") >= 2 * 6
        assert page.run(f"{charts}.every(c => c.getAttribute('role') === 'img' && {named})")
        assert page.run(f"{charts}.every(c => c.classList.contains('wide') === (c.clientWidth > 0))")
        assert page.run("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == page.run(
            "document.querySelectorAll('[id]').length"
        )
        tables = "[...document.querySelectorAll('table')]"
        assert page.run(f"{tables}.every(c => {named})")
        page.call("Emulation.setEmulatedMedia", media="print")
        assert page.run("getComputedStyle(document.querySelector('input.slide')).display") == "none"
        assert page.pdf().startswith(b"%PDF")
        narrow = chromium.open(page_file, width=400, height=800, dark=True)
        assert narrow.complaints() == []
        assert narrow.run("document.documentElement.scrollWidth") == 400
        assert narrow.run(f"{charts}.every(c => c.classList.contains('narrow') === (c.clientWidth > 0))")
