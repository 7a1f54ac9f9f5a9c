"""A ``.net`` file as a source: lowered with its integers, or as a float description to be quantized anew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from deploy.cli import main
from depth import examples
from esvae.errors import CheckpointError, UnsupportedLayerError
from esvae.official import import_official
from esvae.run import Run, load_run
from export.frontends import from_netx, from_official, from_run, load_source
from export.ir import NEVER_FIRES, Conv, ConvTranspose, Dense, InputNeurons, Lif, Network
from export.ir.geometry import cells
from export.netx import read_netx
from export.netx.write import write_netx
from export.passes import fold_norm, quantize
from export.pipeline import export_network
from export.relower import relower_file
from sim.twin.engine import Engine
from strategies import foreign_networks, networks, spikes_for

PRETRAINED = "pretrained:fashion_mnist_fast"


def slayers_file(path: Path, *, slack: int = 0) -> Network:
    """As slayer writes a trained ``convT``, -256 included; with an output padding, which slayer does not have."""
    rng = np.random.default_rng(0)
    first = ConvTranspose(
        rng.integers(-128, 128, (3, 4, 3, 3)) * 2, None, Lif(1024, 512, 300), (2, 2), (1, 1), (1, 1), (slack, slack)
    )
    second = Conv(rng.integers(-128, 128, (2, 4, 3, 3)) * 2, np.array([3, -4]), Lif(0, 300, 900), padding=(1, 1))
    first.weight.flat[0] = -256
    network = Network((3, 4, 5), (first, second), time_steps=None)
    write_netx(network, path, stock=False)
    return network


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_eight_bits_give_every_integer_back(tmp_path: Path, data: st.DataObject) -> None:
    network = replace(data.draw(networks(transposed=True)), time_steps=None)
    # whose neurons have decays of their own is refused
    assume(all(layer.weight.any() and layer.neuron.uniform for layer, _, _ in network.synapses()))
    path = write_netx(network, tmp_path / "a.net", stock=False)
    again, report = quantize(from_netx(path))
    assert again.content_hash() == network.content_hash()
    assert all(entry.clipped == 0 and entry.weight_error == 0 for entry in report)


def test_a_generators_file_too(tmp_path: Path) -> None:
    network = export_network(from_run(load_run(PRETRAINED)), tmp_path / "a.net").network
    again, _ = quantize(from_netx(tmp_path / "a.net"))
    assert again.content_hash() == network.content_hash()
    assert again.provenance == network.provenance


def test_fewer_bits_keep_thresholds_and_move_weights_to_their_levels(tmp_path: Path) -> None:
    network = slayers_file(tmp_path / "a.net")
    for keep_scale in (True, False):
        coarse, report = quantize(from_netx(tmp_path / "a.net", keep_scale=keep_scale), 5)
        for entry, layer, before in zip(report, coarse.layers, network.layers, strict=True):
            assert isinstance(layer, Conv | ConvTranspose)
            assert isinstance(before, Conv | ConvTranspose)
            assert not (layer.weight % 16).any()
            assert np.abs(layer.weight / entry.scale - before.weight).max() <= 16 + 8 / entry.scale  # -256 is clipped
            assert (layer.neuron == before.neuron) == (keep_scale or entry.scale == 1)


@pytest.mark.parametrize("lowering", ["dense", "subpixel", "auto"])
@pytest.mark.parametrize("slack", [0, 1])
def test_slayers_convt_becomes_what_netx_loads(
    tmp_path: Path, lowering: str, slack: int, capsys: pytest.CaptureFixture[str]
) -> None:
    network = slayers_file(tmp_path / "a.net", slack=slack)
    refused = lowering == "subpixel" and not slack  # a map of odd size does not fill its cells
    with pytest.raises(SystemExit, match=str(int(refused))):
        main(["export", str(tmp_path / "a.net"), "-o", str(tmp_path / "b.net"), "--lowering", lowering, "--json"])
    told = json.loads(capsys.readouterr().out)
    if refused:
        assert "use --lowering dense" in told["error"]
        return
    lowered = read_netx(tmp_path / "b.net")
    assert told["content_hash"] == lowered.content_hash()
    assert told["quantization"] == []
    assert told["lowering"] == ("dense" if lowering == "dense" or not slack else "subpixel")
    assert not any(isinstance(layer, ConvTranspose) for layer in lowered.layers)
    spikes = (np.random.default_rng(1).random((3, 8, 3, 4, 5)) < 0.5).astype(np.uint8)
    before = Engine(network).traces(spikes)[-1]
    after = Engine(lowered).traces(spikes.reshape(3, 8, *lowered.input_shape))[-1]
    assert before.s.any()
    wanted = cells(before.v, (2, 2)) if told["lowering"] == "subpixel" else before.v
    assert np.array_equal(wanted.reshape(after.v.shape), after.v)


def test_the_command_quantizes_a_file_anew_where_bits_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slayers_file(tmp_path / "a.net")
    source, target = str(tmp_path / "a.net"), str(tmp_path / "b.net")
    with pytest.raises(SystemExit, match="0"):
        main(["export", source, "-o", target, "--lowering", "native", "--weight-bits", "4"])
    assert "4 bit weights" in " ".join(capsys.readouterr().out.split())
    assert not any((layer.weight % 32).any() for layer, _, _ in read_netx(target).synapses())
    with pytest.raises(SystemExit, match="0"):
        main(["export", source, "-o", target, "--lowering", "native"])
    assert "integers as they were" in capsys.readouterr().out
    assert read_netx(target).content_hash() == read_netx(source).content_hash()


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_lowering_a_file_keeps_what_its_neurons_see(tmp_path: Path, data: st.DataObject) -> None:
    network = replace(data.draw(foreign_networks(transposed=True, loadable=True)), input_neurons=None)
    path = write_netx(network, tmp_path / "a.net", stock=False)
    done = relower_file(path, tmp_path / "b.net", lowering="native")
    assert done.network.content_hash() == network.content_hash()
    spikes = data.draw(spikes_for(network, images=1))
    for before, after in zip(Engine(network).traces(spikes), Engine(done.network).traces(spikes), strict=True):
        assert np.array_equal(before.v, after.v)


def test_what_a_float_description_does_not_hold(tmp_path: Path) -> None:
    layer = Dense(np.array([[2]]), None, Lif(0, 0, NEVER_FIRES))
    write_netx(Network((1,), (layer,)), tmp_path / "a.net")
    with pytest.raises(
        UnsupportedLayerError, match=r"layer 1 \(dense\): a neuron that cannot fire.*without --weight-bits"
    ):
        from_netx(tmp_path / "a.net")
    fires = Dense(np.array([[2]]), None, Lif(0, 0, 1))
    write_netx(Network((1,), (fires,), input_neurons=InputNeurons(Lif(0, 0, 1))), tmp_path / "b.net")
    with pytest.raises(UnsupportedLayerError, match="input layer: neurons there cannot be quantized again"):
        from_netx(tmp_path / "b.net")


def test_a_source_is_known_by_what_it_is(tmp_path: Path) -> None:
    network = export_network(load_source(PRETRAINED), tmp_path / "a.net").network
    (tmp_path / "a.net").rename(tmp_path / "renamed")
    assert quantize(load_source(tmp_path / "renamed"))[0].content_hash() == network.content_hash()
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(
        CheckpointError, match=r"a\.txt: what is it\? expected a run directory, pretrained:NAME, an off"
    ):
        load_source(tmp_path / "a.txt")
    with pytest.raises(CheckpointError, match="no such run directory"):
        load_source(tmp_path / "nothing")
    torch.save({"a": torch.zeros(1)}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="not an official ESVAE state dict"):
        load_source(tmp_path / "b.pth")


def test_an_official_state_dict_is_a_source(tmp_path: Path, official_state: dict[str, torch.Tensor]) -> None:
    torch.save(official_state, tmp_path / "a.pth")
    described = from_official(tmp_path / "a.pth")
    model = import_official(tmp_path / "a.pth")
    wanted = fold_norm(from_run(Run(model, {}, "")))
    for ours, theirs in zip(fold_norm(described).synapses, wanted.synapses, strict=True):
        assert np.array_equal(ours.synapse.weight, theirs.synapse.weight)
    assert described.prior is not None
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(tmp_path / "a.pth"), "-o", str(tmp_path / "a.net"), "--lowering", "native"])
    assert read_netx(tmp_path / "a.net").readout is not None


@pytest.fixture
def official_state() -> dict[str, torch.Tensor]:
    """Random values under the reference implementation's names, in its layout."""
    torch.manual_seed(0)
    channels, latent = [4, 6, 8, 10], 7
    state: dict[str, torch.Tensor] = {}

    def add(name: str, *shape: int, features: int | None = None, norm: bool = True) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = (
            torch.randn(shape) * 0.3,
            torch.randn(features or shape[0]) * 0.1,
        )
        for part in ("weight", "bias", "running_mean", "running_var") if norm else ():
            state[f"{name}.bn.{part}"] = torch.rand(features or shape[0]) + 0.5

    for index, (before, after) in enumerate(zip([1, *channels], channels, strict=False)):
        add(f"encoder.{index}", after, before, 3, 3, 1)
    add("before_latent_layer", latent, 4 * channels[-1])
    add("decoder_input", 4 * channels[-1], latent)
    for index, (before, after) in enumerate(zip(channels[::-1], channels[-2::-1], strict=False)):
        add(f"decoder.{index}", before, after, 3, 3, 1, features=after)
    add("final_layer.0", channels[0], channels[0], 3, 3, 1)
    add("final_layer.1", channels[0], 1, 3, 3, 1, features=1, norm=False)
    state["membrane_output_layer.coef"] = 0.8 ** torch.arange(4, -1, -1.0)[None, None, None, None]
    add("sample_layer.0", latent, latent, norm=False)
    return state
