"""The examples of CONTRIBUTING.md work as they stand, one after the other in one folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_the_examples_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts = re.findall(r"^## (.+?)$.*?```python\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
    assert [title for title, _ in parts] == [
        "A neuron model",
        "A frontend",
        "A file format",
        "A backend",
        "An energy profile",
    ]
    for title, example in parts:
        exec(compile(example, f"CONTRIBUTING.md, {title}", "exec"), {})


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_places_that_are_named_are_there() -> None:
    places = re.findall(r"`((?:esvae|export|sim|deploy|tests)/[\w/.]*)`", TEXT)
    assert len(places) > 20
    assert [place for place in places if not (ROOT / place).exists()] == []
    for file, name in (
        ("export/ir/network.py", "def _check_neuron("),
        ("export/ir/nodes.py", "def lif_of("),
        ("export/frontends/source.py", "def load_source("),
        ("export/frontends/source.py", "_EXPECTED ="),
        ("esvae/shipped.py", "_KINDS ="),
        ("deploy/opening.py", "def open_network("),
        ("deploy/opening.py", "def network_file("),
        ("deploy/commands/export.py", "output_file("),
        ("sim/twin/stages.py", "class _Neurons("),
    ):
        assert name in (ROOT / file).read_text("utf-8"), (file, name)


def test_every_place_that_tells_neurons_apart_is_named() -> None:
    told = section("A neuron model")
    kinds = re.compile(r"isinstance\([^()]*\b(SigmaDelta|Sigma|Delta|GradedNeuron)\b|\b(is_graded|sends_messages)\b")
    definitions = ("export/ir/__init__.py", "export/ir/nodes.py")
    found = [
        path.relative_to(ROOT).as_posix()
        for package in ("export", "sim", "deploy")
        for path in (ROOT / package).rglob("*.py")
        if kinds.search(path.read_text("utf-8"))
    ]
    assert len(found) > 5
    named = [path for path in found if f"`{path}`" in told or f"`{path.rpartition('/')[0]}/`" in told]
    assert set(found) - set(named) - set(definitions) == set()


def test_a_file_of_a_new_kind_is_told_in_the_places_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import esvae
    from esvae import shipped
    from esvae.errors import EsvaeError
    from export.frontends import source

    file = tmp_path / "matrices.txt"
    file.write_text("1 2")
    with pytest.raises(EsvaeError, match="what is it"):
        source.load_source(file)
    monkeypatch.setitem(shipped._KINDS, ".txt", "matrices, of which esvae export makes a network file")
    with pytest.raises(EsvaeError, match="matrices, of which esvae export makes a network file; expected a network"):
        esvae.load(file)
