"""Figures at the edges of what a network can be: nothing that is divided by is ever zero."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from command import call
from esvae.chip.formats import DECAY_UNITY, THRESHOLD
from esvae.config import load_config
from esvae.model import ESVAE
from esvae.run import load_run, save_run
from export.frontends import from_run
from export.ir import Flatten, Lif, Network
from export.netx.write import write_netx
from export.pipeline import Options, compiled
from small_config import write_small_config


def hidden(network: Network, change: Callable[[Any], Any]) -> Network:
    """Every layer but the readout changed."""
    *firing, readout = network.layers
    return replace(
        network, layers=(*(layer if isinstance(layer, Flatten) else change(layer) for layer in firing), readout)
    )


def with_neuron(neuron: Lif) -> Callable[[Network], Network]:
    return lambda network: hidden(network, lambda layer: replace(layer, neuron=neuron))


EDGES: dict[str, Callable[[Network], Network]] = {
    "threshold 0": with_neuron(Lif(DECAY_UNITY, 3072, 0)),
    "no spikes": with_neuron(Lif(DECAY_UNITY, 3072, THRESHOLD.max)),
    "no memory": with_neuron(Lif(DECAY_UNITY, DECAY_UNITY, 50)),
    "no leak": with_neuron(Lif(DECAY_UNITY, 0, 50)),
    "no weights": lambda net: hidden(net, lambda layer: replace(layer, weight=np.zeros_like(layer.weight), bias=None)),
}


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a window of so many steps."""
    folder = tmp_path_factory.mktemp("edges")
    path = write_small_config(folder)
    content = yaml.safe_load(path.read_text("utf-8"))
    content["model"]["time_steps"] = request.param
    path.write_text(yaml.safe_dump(content), "utf-8")
    torch.manual_seed(0)
    save_run(folder / "run", ESVAE(load_config(path)), {"finished": True, "epochs": []})
    return folder


@pytest.mark.parametrize(
    ("folder", "edge"), [(1, "threshold 0"), *((4, edge) for edge in EDGES)], indirect=["folder"], scope="module"
)
def test_what_compares_counts_and_reports_takes_it(edge: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, file, page = folder / "run", folder / "edge.net", folder / "edge.html"
    black_or_white = edge in ("threshold 0", "no spikes")  # of which all is drawn; of the others, what differs
    write_netx(EDGES[edge](compiled(from_run(load_run(run)), Options(8)).network), file)
    commands = [
        ("compare", run, file, "-n", 2, "--json"),
        ("energy", file, "-n", 1),
        ("fit", file),
        ("simulate", file, "-n", 1, "-o", folder / "images.png"),
    ]
    if black_or_white:
        commands.append(("report", run, "--net", file, "-o", page, "-n", 2, "--against", "reference"))
    told = []
    for command in commands:
        status, out, errors = call(capsys, *command)
        assert status == 0, errors
        told.append(out)
    drifts = json.loads(told[0])["layers"]
    assert all((row["membrane"] is None) == (edge == "threshold 0") for row in drifts[:-1])
    if edge == "threshold 0":
        said = json.loads(page.with_suffix(".json").read_text("utf-8"))
        assert any("fires otherwise in integers" in text for text in said["warnings"])
