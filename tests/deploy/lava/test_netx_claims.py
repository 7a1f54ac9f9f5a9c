"""What ``check`` says that netx does to a file, asked of netx itself: stock lava-dl loads the file and Lava runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from net_trees import Items, numbered, write_tree

from deploy.lava.jobs import SamplesJob
from deploy.lava.run import run_lava_jobs
from esvae.errors import EsvaeError
from export.ir import INTEGRATOR
from export.netx.check import check_file
from export.netx.rules import loaded_dense_weight
from sim.stimulus import Stimulus, Timing

pytestmark = [pytest.mark.lava, pytest.mark.slow]

Answer = dict[str, np.ndarray] | EsvaeError

#: The current lasts for one step, so that it shows the weights that spikes have just met: u = 64 * weight.
NEURON = {"type": "LOIHI", "iDecay": 4096, "vDecay": 1024, "vThMant": 40, "refDelay": 1}
EVEN = np.array([[4, -2, 8], [6, 10, -4]])
ODD = np.array([[3, -5, 8], [6, 127, -4]])
KERNEL = np.array([[[[4, -2], [6, 8]]], [[[2, 10], [-4, 12]]]])


def dense(weight: np.ndarray, **items: Any) -> Items:
    return {"type": "dense", "shape": [len(weight)], "weight": weight, "neuron": NEURON, **items}


def conv(weight: np.ndarray = KERNEL, **items: Any) -> Items:
    whole = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1, "neuron": NEURON}
    return {"type": "conv", "shape": [2, 2, 2], "weight": weight, **whole, **items}


UNSIGNED, SHORT = np.array([[4, -2, 8], [6, 10, -4], [2, 2, 2]]), np.array([3], np.uint16)
SHIFTED = ("iDecay", "vDecay", "vThMant")

VECTOR: Items = {"type": "input", "shape": [3]}
MAP: Items = {"type": "input", "shape": [1, 3, 3]}


def write(path: Path, layers: Items) -> Path:
    return write_tree(path, {"layer": layers} if layers else {})


def impulses(*shape: int, steps: int) -> np.ndarray:
    """Every input fires once, one after the other: ``(1, steps, *shape)``."""
    size = int(np.prod(shape))
    return np.eye(steps, size, dtype=np.uint8).reshape(1, steps, *shape)


@dataclass(frozen=True)
class Claim:
    """A file, what ``check`` says of it, and what then has to be seen on Lava.

    Attributes:
        layers: of the file.
        says: part of a finding; empty where there must be none.
        severity: of that finding.
        fails: part of the error that Lava ends with.
        like: layers of a sound file that gives the same traces.
        loaded: the first layer's weights as Lava computes with them.
        steps: how long it runs.
    """

    layers: dict[str, Items]
    says: str
    severity: str = "error"
    fails: str | None = None
    like: dict[str, Items] | None = None
    loaded: np.ndarray | None = None
    steps: int = 9


def loads_as(weight: np.ndarray, says: str, severity: str = "error") -> Claim:
    return Claim(numbered(VECTOR, dense(weight)), says, severity, loaded=loaded_dense_weight(weight))


def fails(says: str, error: str, *layers: Items) -> Claim:
    return Claim(numbered(*layers), says, fails=error)


def stored(key: str, value: Any, says: str, error: str) -> Claim:
    """A parameter of neurons in a form on which Lava fails."""
    return fails(says, error, VECTOR, dense(EVEN, neuron={**NEURON, key: value}))


def wide(key: str, size: int) -> Claim:
    """A convolution that is sound but for something that does not fit into eight bits."""
    shape, out, kernel = [1, 1, 2], [1, 1, 2], np.full((1, 1, 1, 1), 4)
    pair = {key: [1 if key != "padding" else 0, size]}
    if key == "kernel":
        shape, out, kernel, pair = [1, 1, size], [1, 1, 1], np.full((1, 1, 1, size), 4), {}
    elif key == "stride":
        shape = [1, 1, size + 1]
    elif key == "padding":
        out = [1, 1, 2 + 2 * size]
    elif key == "dilation":
        shape, kernel = [1, 1, size + 2], np.full((1, 1, 1, 2), 4)
    return fails(f"'{key}' {size}: Lava holds it", "", {**MAP, "shape": shape}, conv(kernel, shape=out, **pair))


SOUND = numbered(VECTOR, dense(EVEN))
SOUND_MAP = numbered(MAP, conv())
NEVER = {"type": "CUBA", "iDecay": 0, "vDecay": 4096, "vThMant": INTEGRATOR.threshold, "refDelay": 1}

CLAIMS: dict[str, Claim] = {
    "no layers": Claim({}, "netx raises KeyError", fails="object 'layer' doesn't exist"),
    "a gap": Claim({"0": VECTOR, "2": dense(EVEN)}, "netx raises TypeError", fails="TypeError"),
    "no type": Claim(numbered(VECTOR, dense(EVEN, type=None)), "netx fails on it", fails=""),
    **{
        f"type {kind}": Claim(
            numbered(VECTOR, {**dense(EVEN), "type": kind}),
            "netx raises NotImplementedError",
            fails="UnsupportedLayerError: ",
        )
        for kind in ("pool", "convT", "unpool", "average", "concat")
    },
    "unknown type": Claim(
        numbered(VECTOR, {**dense(EVEN), "type": "resonator"}, dense(EVEN)), "passes over the whole layer", like=SOUND
    ),
    "unknown key": Claim(numbered(VECTOR, dense(EVEN, extra=5)), "'extra': netx passes over it", "warning", like=SOUND),
    "delay of a convolution": Claim(
        numbered(MAP, conv(delay=3)), "'delay': netx passes over it", "warning", like=SOUND_MAP
    ),
    "refractory delay": Claim(
        numbered(VECTOR, dense(EVEN, neuron={**NEURON, "refDelay": 5})),
        "refDelay 5: netx passes",
        "warning",
        like=SOUND,
    ),
    "long delay": Claim(
        numbered(VECTOR, dense(EVEN, delay=np.full((2, 3), 80))),
        "netx clamps it to 62",
        like=numbered(VECTOR, dense(EVEN, delay=np.full((2, 3), 62))),
        steps=90,
    ),
    "no neuron": Claim(
        numbered(VECTOR, dense(EVEN, neuron=None)),
        "netx makes an integrator that never fires",
        "warning",
        like=numbered(VECTOR, dense(EVEN, neuron=NEVER)),
    ),
    "no neuron behind a kernel": Claim(
        numbered(MAP, conv(neuron=None)), "no neuron: netx raises KeyError", fails="KeyError"
    ),
    "conv after dense": Claim(numbered(VECTOR, dense(np.full((9, 3), 4)), conv()), "netx cannot connect it", fails=""),
    "no flatten": Claim(numbered(MAP, conv(), dense(np.full((2, 8), 4))), "without a flatten layer between", fails=""),
    "zero": Claim(numbered(VECTOR, dense(np.zeros((2, 3), int))), "netx raises OverflowError", fails="OverflowError"),
    "zero kernel": Claim(numbered(MAP, conv(0 * KERNEL)), "passes nothing on", "warning", loaded=0 * KERNEL),
    "fractions": Claim(
        numbered(VECTOR, dense(EVEN + np.where(EVEN > 0, 0.75, -0.75))), "netx cuts their fractions off", like=SOUND
    ),
    "even": loads_as(EVEN, ""),
    "all negative": loads_as(np.array([[-256, -2, -8], [-6, -10, -4]]), "netx changes 1 of 6 weights"),
    "odd": loads_as(ODD, "odd weights beside others of both signs", "warning"),
    "odd, both ends": loads_as(np.array([[255, -5, 8], [6, 129, -256]]), "weights on loading; keep them even"),
    "odd, one sign": loads_as(np.array([[3, 5, 8], [6, 255, 4]]), ""),
    "no shape": fails("'shape' is missing: netx raises KeyError", "KeyError", VECTOR, dense(EVEN, shape=None)),
    "wrong shape": fails("its weights give (2,)", "RuntimeError", VECTOR, dense(EVEN, shape=[3])),
    "shape of floats": fails("'shape' is stored as float64", "ValueError", VECTOR, dense(EVEN, shape=[2.0])),
    "unsigned shape": fails("'shape' is stored as uint16", "TypeError", VECTOR, *[dense(UNSIGNED, shape=SHORT)] * 2),
    "no shape behind a kernel": fails("'shape' is missing", "KeyError", MAP, conv(shape=None)),
    "wrong shape behind a kernel": fails("its weights give (2, 2, 2)", "RuntimeError", MAP, conv(shape=[2, 3, 2])),
    "scalar shape behind a kernel": fails("'shape' is an array ()", "IndexError", MAP, conv(shape=2)),
    "scalar shape of the input": fails(
        "'shape' is a scalar: netx raises IndexError", "IndexError", {**VECTOR, "shape": 3}, dense(EVEN)
    ),
    "groups as an array": fails("'groups' is an array (1,)", "IndexError", MAP, conv(groups=[1])),
    "groups as a float": fails("'groups' is stored as float64", "ValueError", MAP, conv(groups=1.0)),
    "stride as an array of one": fails("'stride' is an array (1,)", "IndexError", MAP, conv(stride=[1])),
    "padding of floats": fails("'padding' is stored as float64", "ValueError", MAP, conv(padding=[0.0, 0.0])),
    "no dilation": fails("'dilation' is missing: netx raises KeyError", "KeyError", MAP, conv(dilation=None)),
    **{f"{key} as a float": stored(key, float(NEURON[key]), "Lava cannot shift it", "TypeError") for key in SHIFTED},
    **{f"{key} as uint64": stored(key, np.uint64(NEURON[key]), "Lava cannot shift it", "TypeError") for key in SHIFTED},
    "threshold as a short array": Claim(
        numbered(VECTOR, dense(EVEN, neuron={**NEURON, "vThMant": np.array([1000], np.int16)})),
        "which overflows",
        like=numbered(VECTOR, dense(EVEN, neuron={**NEURON, "vThMant": ((1000 << 6) - (1 << 16)) >> 6})),
    ),
    "threshold with two axes": stored("vThMant", [[40]], "Lava raises IndexError", "IndexError"),
    "message bits": stored("messageBits", 0, "netx reads it as a group whatever it holds", ""),
    "message bits before another layer": fails(
        "netx reads it as a group", "", VECTOR, dense(EVEN, neuron={**NEURON, "messageBits": 0}), dense(EVEN[:, :2])
    ),
    "type with two axes": fails(
        "'type' has 2 axes", "AttributeError", VECTOR, dense(EVEN, type=np.array([["dense"]], "S10"))
    ),
    "weights with an axis more": fails(
        "netx raises ValueError; store (outputs, inputs)", "ValueError", VECTOR, dense(EVEN[..., None])
    ),
    "flatten between vectors": fails(
        "flatten between two vectors", "", VECTOR, dense(EVEN), {"type": "flatten", "shape": [2]}, dense(EVEN[:, :2])
    ),
    "bias of a map with two axes": Claim(
        numbered(MAP, conv(bias=[[2], [4]])),
        "which netx cannot spread",
        like=numbered(MAP, conv(bias=np.broadcast_to([[2], [4]], (2, 2, 2)))),
    ),
    "bias of neurons with two axes": fails("which netx cannot spread", "", VECTOR, dense(EVEN, bias=[[2], [4]])),
    **{f"{key} of 128": wide(key, 128) for key in ("kernel", "stride", "padding", "dilation")},
    **{
        f"groups of {n}": Claim(
            numbered({**MAP, "shape": [n, 1, 1]}, conv(np.full((n, 1, 1, 1), 4), shape=[n, 1, 1], groups=n)),
            f"'groups' {n}: Lava holds it",
            loaded=np.zeros((n, n, 1, 1)),
        )
        for n in (128, 256)
    },
    "odd kernel": Claim(
        numbered(MAP, conv(KERNEL + 1)), "the chip stores such weights without", "warning", loaded=KERNEL + 1
    ),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("claims")
    return {name: write(folder / f"{n}.net", claim.layers) for n, (name, claim) in enumerate(CLAIMS.items())}


@pytest.fixture(scope="module")
def answers(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Answer, Answer]]:
    """For each claim what Lava does with its file, and with the one that it is said to be like, if any."""
    folder = tmp_path_factory.mktemp("like")
    jobs: dict[tuple[str, bool], SamplesJob] = {}
    for number, (name, claim) in enumerate(CLAIMS.items()):
        shape = np.atleast_1d(claim.layers["0"]["shape"] if "0" in claim.layers else 3)
        stimulus = Stimulus(impulses(*shape, steps=claim.steps), None, claim.steps, Timing())
        jobs[name, False] = SamplesJob(files[name], stimulus, trace=True)
        if claim.like is not None:
            jobs[name, True] = SamplesJob(write(folder / f"{number}.net", claim.like), stimulus, trace=True)
    runs = run_lava_jobs(list(jobs.values()))
    results: list[Answer] = [run if isinstance(run, EsvaeError) else run.trace or {} for run in runs]
    got = dict(zip(jobs, results, strict=True))
    return {name: (got[name, False], got.get((name, True), {})) for name in CLAIMS}


@pytest.mark.parametrize("name", CLAIMS)
def test_check_says_so(name: str, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.netx.check.check_readable", lambda *_: None)  # a fork; the files are our own
    found = [(finding.severity, finding.what) for finding in check_file(files[name])]
    claim = CLAIMS[name]
    if claim.says:
        assert claim.severity in [severity for severity, what in found if claim.says in what], found
    else:
        assert not [what for severity, what in found if severity != "note"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CLAIMS)
def test_netx_does_so(name: str, answers: dict[str, tuple[Answer, Answer]]) -> None:
    claim, (got, like) = CLAIMS[name], answers[name]
    if claim.fails is not None:
        assert isinstance(got, EsvaeError), "netx loads and runs it"
        assert claim.fails in f"{type(got).__name__}: {got}"
        return
    assert isinstance(got, dict), got
    if claim.like is not None:
        assert isinstance(like, dict), like
        # Where netx passes over a layer, the ones behind it keep the numbers of their groups.
        assert [name.rpartition(".")[2] for name in got] == [name.rpartition(".")[2] for name in like]
        assert all(np.array_equal(*pair) for pair in zip(got.values(), like.values(), strict=True))
        assert next(values for name, values in got.items() if name.endswith(".u")).any()
    if claim.loaded is not None:
        assert np.array_equal(got["layer1.u"][0], 64 * drive(claim))


def drive(claim: Claim) -> np.ndarray:
    """What the weights as loaded give for the impulses, ``(steps, *layer shape)``."""
    weight = claim.loaded
    assert weight is not None
    if weight.ndim == 2:
        return np.vstack([weight.T, np.zeros((claim.steps - weight.shape[1], len(weight)))])
    import torch

    spikes = torch.from_numpy(impulses(*claim.layers["0"]["shape"], steps=claim.steps)[0]).double()
    return torch.nn.functional.conv2d(spikes, torch.from_numpy(weight).double()).numpy()
