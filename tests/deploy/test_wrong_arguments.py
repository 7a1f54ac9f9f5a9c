"""What the library says where somebody at a prompt gives it something else: one line, in its own words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch

import esvae
from esvae.errors import EsvaeError
from every_command import write_inputs

matplotlib.use("Agg")

#: A call, and what its error says.
REFUSED = [
    ("esvae.load(5)", r"^5: expected a file, a run directory or pretrained:NAME, got int$"),
    ("esvae.load(None)", r"^None: expected a file, .* got NoneType$"),
    ("esvae.load(['a.net'])", r"^\['a\.net'\]: expected a file"),
    ("m.generate('2')", r"^n '2': expected a whole number, got str$"),
    ("m.generate(2, backend='twni')", r"^backend twni: expected twin, reference, lava, onnx$"),
    ("m.trace(2, rate='a')", r"^rate 'a': expected a number, got str$"),
    ("m.trace(2, rate=[0.5])", r"^rate \[0\.5\]: expected a number, got list$"),
    ("m.trace(2, rate=float('nan'))", r"^rate nan: expected 0 to 1$"),
    ("m.trace(2, steps=5.0)", r"^steps 5\.0: expected a whole number, got float$"),
    ("m.trace(2, spikes=[[0, 1]])", r"^input spikes have shape \(1, 2\), expected \(images, steps, 8, 1, 1\)"),
    ("m.trace(2, spikes=[[0], [0, 1]])", r"^spikes \[\[0\], \[0, 1\]\]: expected an array or the name of an"),
    ("m.trace(2, spikes=np.zeros((1, 2, 8)), rate=0.1)", r"^spikes and rate: give one of them$"),
    ("t.layer([0])", r"^layer \[0\]: there is none; there are layer 1 \(conv\), "),
    ("t.layer(None)", r"^layer None: there is none"),
    ("t.labelled(1, 'w')", r"^quantity 'w': expected 's' \(spikes\), 'v' \(membrane potential\), 'u' \(current\)$"),
    ("t.plot_raster(1, 1.0)", r"^image 1\.0: expected a whole number, got float$"),
    ("t.plot_raster(1, ax=3)", r"^ax: expected matplotlib Axes, as plt\.subplots\(\) gives, got int$"),
    ("t.plot_membrane(1, neurons=3)", r"^neurons 3: expected numbers of neurons, such as \[0, 1\]$"),
    ("t.plot_membrane(1, neurons=[1.0])", r"^neurons 1\.0: expected a whole number"),
    ("t.plot_membrane(1, neurons=[])", r"^neurons: none given"),
    ("t.emergence().save('x.png')", r"^target x\.png: expected a name that ends in \.gif$"),
    ("t.save('t.txt')", r"^target t\.txt: expected a name that ends in \.npz or \.h5"),
    ("m.generate(2).save('p.jpg')", r"^target p\.jpg: expected a name that ends in \.png$"),
    ("m.energy(1, profiles='loihi3')", r"^profile loihi3: cannot be read \(no such file\); shipped are cmos45, "),
    ("m.energy(1, profiles=7)", r"^profiles 7: expected a name or a sequence of names$"),
    ("m.verify(1, against='refrence')", r"^against refrence: expected some of reference, lava, onnx$"),
    ("m.verify(1, against=[])", r"^against nothing: expected some of"),
    ("m.verify(1, against=['twin'])", r"^against twin: expected some of"),
    ("m.fit('loihi')", r"^chip loihi: expected loihi2 or loihi1$"),
    ("m.draw('x')", r"^chip x: expected loihi2 or loihi1$"),
    ("m.draw(ax=5)", r"^ax: expected matplotlib Axes"),
    ("m.compare(2)", r"d\.net: say which run it was made of, run=DIRECTORY$"),
    ("m.compare(2, run=run, metrics=['fdi'])", r"^unknown metric 'fdi'; choose some of mse, "),
    ("m.compare(2, run=run, metrics='fdi')", r"^metrics: unknown metric 'fdi'; did you mean fid\?$"),
    (
        "m.compare(2, run=run, parts={'layer'}, metrics=())",
        r"^parts: unknown part 'layer'; choose some of attrib",
    ),
    ("m.report('r.txt', 2, run=run)", r"^target r\.txt: expected a name that ends in \.html or \.htm$"),
    ("esvae.verify(net, 1.0)", r"^n 1\.0: expected a whole number"),
    ("esvae.train(5, 'r9')", r"^config 5: expected a Config, or the name or path of one$"),
    (
        "esvae.train('digits', run)",
        r"holds a finished run; train .*, or replace it with overwrite=True$",
    ),
    ("esvae.export(run, None)", r"^target None: expected a name that ends in \.net, got NoneType$"),
    ("esvae.export(run, 5)", r"^target 5: expected a name that ends in \.net, got int$"),
    ("m.report(None, 2, run=run)", r"^target None: expected a name that ends in \.html or \.htm, got NoneType$"),
    ("esvae.export(run, 'x')", r"^target x: expected a name that ends in \.net$"),
    ("esvae.export(run, 'x.net', weight_bits=9)", r"^weight_bits 9: expected 2 to 8$"),
    ("esvae.export(run, 'x.net', weight_bits=8.0)", r"^weight_bits 8\.0: expected a whole number"),
    ("esvae.export(run, 'x.net', lowering='dens')", r"^lowering dens: expected auto, none, subpixel, dense, native$"),
    ("esvae.export(run, 'x.net', calibration='mean')", r"^calibration mean: expected max, "),
    ("esvae.export(run, 'x.net', spikes=[1])", r"^spikes have shape \(1,\), expected \(images, steps, 8, 1, 1\)"),
    ("esvae.export(run, 'x.net', read_steps=1.5)", r"^read_steps 1\.5: expected a whole number"),
    (
        "esvae.export(run, 'x.net', circuit=True)",
        r"^circuit True: expected export\.circuit\..*CircuitOptions$",
    ),
    ("esvae.export(linear, 'x.net')", r"^source Linear\(.*: a Linear; give it to esvae\.from_norse"),
    ("esvae.from_norse(linear, 4)", r"^the network \(Linear\): no neurons behind it; put a LIF or LI cell there$"),
    ("esvae.from_norse('run', 4)", r"^the network \(str\): not supported; supported are Linear, "),
    ("esvae.from_norse(linear, 4, provenance='x')", r"^the network \(Linear\)|^provenance 'x'"),
    ("esvae.from_nir(5)", r"^int: expected a \.nir file or a nir\.NIRGraph$"),
    ("esvae.from_nir(net)", r"d\.net: 'node' is missing: an HDF5 file of another kind"),
    ("esvae.from_slayer(5)", r"^the network \(int\): expected torch modules, or a sequence of such$"),
    ("esvae.from_snntorch([5], 4)", r"^module '0' \(int\): expected torch modules, or a sequence of such$"),
    ("esvae.from_spikingjelly(5, 4)", r"^the network \(int\): expected torch modules, or a sequence of such$"),
]
#: What is taken too, and equals what stands beside it.
TAKEN = [
    ("esvae.load(m) is m", "True"),
    ("m.energy(1, profiles='cmos45').estimates[0].profile", "m.energy(1, profiles=['cmos45']).estimates[0].profile"),
    ("m.verify(1, against='reference').differences", "{'reference': None}"),
    ("esvae.verify(m, n=1, against='reference').integers", "m.verify(1, against=['reference']).integers"),
    ("m.trace(2, steps=np.int64(2)).potentials.tolist()", "m.trace(2, steps=2).potentials.tolist()"),
    ("m.trace(2, spikes=torch.ones(2, 2, 8)).potentials.tolist()", "m.trace(2, spikes=ones).potentials.tolist()"),
    ("m.trace(2, spikes=ones.tolist()).potentials.tolist()", "m.trace(2, spikes=ones).potentials.tolist()"),
    ("esvae.compare(run, m, n=2, metrics='none', parts='layers').images", "2"),
    ("t.layer(np.int64(1)).s.shape", "t.layer(1).s.shape"),
]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    inputs = write_inputs(tmp_path_factory.mktemp("wrong"))
    model = esvae.load(inputs["NET"])
    return {
        "esvae": esvae,
        "np": np,
        "torch": torch,
        "m": model,
        "t": model.trace(2, 0),
        "net": inputs["NET"],
        "run": inputs["RUN"],
        "linear": torch.nn.Linear(4, 3).eval(),
        "ones": np.ones((2, 2, 8), np.uint8),
    }


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_a_wrong_argument_is_one_line(
    call: str, message: str, names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EsvaeError) as caught:
        eval(call, dict(names))
    said = str(caught.value)
    assert re.search(message, said), said
    assert "\n" not in said
    assert "--" not in said
    assert not list(tmp_path.iterdir()), "nothing is left behind"


@pytest.mark.parametrize(("call", "same"), TAKEN)
def test_what_is_taken_too(call: str, same: str, names: dict[str, Any]) -> None:
    assert eval(call, dict(names)) == eval(same, dict(names))


def test_a_misspelt_function_has_its_nearest() -> None:
    with pytest.raises(AttributeError) as caught:
        esvae.lod  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("lod", esvae)  # by which Python says: Did you mean: 'load'?
