"""Every command that takes a network, on a NIR graph and on one whose neurons send messages: it works, or says in one
line why not and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from command import call
from every_command import write_inputs
from export.ir import Conv, Delta, Dense, Flatten, InputNeurons, Network, Sigma, SigmaDelta
from export.netx import write_netx

GRAPH = Path(__file__).resolve().parents[1] / "export/frontends/nir/files/snntorch_leaky_zero.nir"
NO_NETX = "a NIR graph, no netx file; make one with: esvae export"
NO_RUN = "a NIR graph, of which esvae export makes a network file; expected a run directory or pretrained:NAME"
NO_PRIOR = "is no generator: it has no prior"
SEES = "give esvae simulate what they see with --image FILE.npy"
FLOATS = "without --weight-bits, --generator, --onnx and --nir"

#: Command lines with what the error says; empty where it works.
NIR = {
    "autoencode GRAPH": NO_RUN,
    "check GRAPH": "",
    "compare RUN GRAPH -n 2 --metrics none": NO_NETX,
    "diff GRAPH NET": "a NIR graph and a network file; compare two of a kind",
    "diff GRAPH GRAPH": "",
    "energy GRAPH -n 1": NO_NETX,
    "evaluate GRAPH": NO_RUN,
    "export GRAPH -o @made.net": "",
    "fit GRAPH": NO_NETX,
    "generate GRAPH --out @drawn": NO_NETX,
    "plan GRAPH": NO_NETX,
    "probe GRAPH": NO_NETX,
    "report RUN --net GRAPH -o @r.html": NO_NETX,
    "simulate GRAPH -n 1": NO_NETX,
    "sweep GRAPH -o @store": NO_RUN,
    "verify GRAPH": NO_NETX,
}
MESSAGES = {
    "check SIGMA --chip loihi2": "",
    "compare RUN SIGMA -n 2 --metrics none": NO_PRIOR,
    "diff SIGMA SIGMA": "",
    "energy SIGMA -n 1 --profile loihi2_anchored": "",
    "export SIGMA -o @made.net": "",
    "export SIGMA -o @made.net --onnx @made.onnx": FLOATS,
    "export SIGMA -o @made.net --weight-bits 4": FLOATS,
    "fit SIGMA": "",
    "generate SIGMA --out @drawn": SEES,
    "inspect SIGMA": "",
    "plan SIGMA": "give its length with --steps",
    "plan SIGMA --steps 4": "netx cannot reset them between two images; run them one at a time: esvae simulate",
    "probe SIGMA": "no prior to draw latent spikes from",
    "report RUN --net SIGMA -o @r.html": NO_PRIOR,
    "simulate SIGMA -n 1": SEES,
    "simulate SIGMA --image zeros --steps 3": "",
    "verify SIGMA -n 1 --against reference": "say for how many steps to run it with --steps",
    "verify SIGMA -n 1 --steps 3 --against reference": "",
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(3)
    layers = (
        Conv(2 * rng.integers(-30, 31, (3, 2, 2, 3)), rng.integers(0, 20, 3), SigmaDelta(4)),
        Flatten(),
        Dense(2 * rng.integers(-30, 31, (2, 27)), None, Sigma()),
    )
    network = Network((2, 4, 5), layers, input_neurons=InputNeurons(Delta(2)))
    return {**write_inputs(folder), "GRAPH": GRAPH, "SIGMA": write_netx(network, folder / "sigma.net")}


@pytest.mark.parametrize(("words", "message"), [*NIR.items(), *MESSAGES.items()])
def test_it_works_or_says_why_not(
    words: str, message: str, inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [str(inputs.get(word, word)).replace("@", f"{tmp_path}/") for word in words.split()]
    code, out, errors = call(capsys, *filled)
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert code == bool(message), out + errors
    assert len(lines) == bool(message)
    assert message in "".join(lines)
    assert not message or (out == "" and not list(tmp_path.iterdir()))


def test_what_is_in_a_graph_is_listed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, errors = call(capsys, "inspect", GRAPH)
    assert code == 1
    assert NO_NETX in out.replace("\n", " ")
    assert "node/nodes/1/v_threshold" in out
    assert "error" not in errors
