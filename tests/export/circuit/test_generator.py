"""Generators that draw by themselves, in memory and in files, in one piece and in two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from circuit_networks import LATENTS, STEPS, circuit_generator, host_generator

from esvae.errors import ConfigError, DataError, HardwareRangeError, NetFileError, UnsupportedLayerError
from export.circuit.generator import CircuitOptions, with_circuit
from export.frontends.netx_file import from_netx
from export.ir import CircuitLayout, CircuitPrior, Network, Prior, Unflatten
from export.ir.circuit import circuit_of, is_chained, source_network, whole_network
from export.netx import read_netx
from export.netx.write import write_netx
from export.relower import relower_file


def same(left: Network, right: Network) -> bool:
    return left.content_hash() == right.content_hash()


@pytest.mark.parametrize("chained", [True, False])
def test_a_file_gives_back_the_generator(tmp_path: Path, chained: bool) -> None:
    made = circuit_generator(chained=chained, seed=(1 << 64) - 1)
    path = write_netx(made, tmp_path / "gen.net")
    read = read_netx(path)
    assert same(made, read)
    assert read.labels == made.labels
    circuit, again = circuit_of(made), circuit_of(read)
    assert circuit is not None
    assert again is not None
    assert again.layout == circuit.layout
    np.testing.assert_array_equal(again.source.recurrent, circuit.source.recurrent)
    assert read.provenance["generator"] == f"chip, seed {(1 << 64) - 1}"
    with h5py.File(path) as file:
        kinds = [file[f"layer/{n}/type"][0].decode() for n in range(len(file["layer"]))]
    assert kinds == (["input", "dense_rec", "dense", "dense", "dense"] if chained else ["input", "conv", "conv"])


def test_the_whole_is_a_network_that_nothing_enters() -> None:
    chained, split = circuit_generator(), circuit_generator(chained=False)
    assert is_chained(chained)
    assert not is_chained(split)
    whole = whole_network(chained)
    assert whole.input_shape == (1,)
    assert whole.depth == 4
    assert whole.labels[:3] == ("layer 1 (dense_rec)", "layer 2 (dense)", "layer 3 (dense)")
    assert whole.labels[2:] == chained.labels
    assert any(isinstance(layer, Unflatten) for layer in whole_network(split).layers)
    assert whole_network(split).shapes[-1] == (1, 2, 2)
    host = host_generator()
    assert whole_network(host) is host
    assert circuit_of(host) is None
    assert not is_chained(host)


def test_source_and_latents_alone() -> None:
    circuit = circuit_of(circuit_generator())
    assert circuit is not None
    network = source_network(circuit)
    assert network.shapes == ((circuit.source.outputs,), (LATENTS,))
    assert sum(count for _, count in circuit.layout.groups) == circuit.source.outputs
    assert circuit.layout.group("ring") == slice(2, 2 + STEPS)
    assert circuit.layout.group("nothing") == slice(0, 0)


def test_what_decides_the_pictures_decides_the_hash() -> None:
    made = circuit_generator()
    circuit = circuit_of(made)
    assert circuit is not None
    bias = circuit.latents.bias
    assert bias is not None
    others = [
        circuit_generator(seed=1),
        replace(made, prior=replace(circuit, layout=replace(circuit.layout, start=6))),
        replace(made, prior=replace(circuit, latents=replace(circuit.latents, bias=bias + 2))),
        host_generator(),
    ]
    assert len({network.content_hash() for network in (made, *others)}) == 5
    assert same(made, circuit_generator.__wrapped__())


def test_only_a_generator_can_draw() -> None:
    host = host_generator()
    for network in (replace(host, prior=None), replace(host, time_steps=None), circuit_generator()):
        with pytest.raises(DataError, match="only a network with a prior and a window can draw for itself"):
            with_circuit(network)


def damaged(path: Path, change: str, value: object) -> Path:
    with h5py.File(path, "r+") as file:
        del file[change]
        if value is not None:
            file[change] = value
    return path


@pytest.mark.parametrize(
    ("item", "value", "text"),
    [
        ("groups", "[[1, 2]]", "groups: expected pairs of a name and a number"),
        ("groups", "nonsense", "groups: expected pairs of a name and a number, as JSON"),
        ("groups", '[["lane", 3]]', "do not add up to"),
        ("feedback", np.arange(3), "feedback: expected two numbers"),
        ("seed", "-1", "seed: expected 0 to 2^64 - 1"),
        ("seed", "9" * 20, "seed: expected 0 to 2^64 - 1"),
        ("start", np.int64(0), "start 0, expected 1 to"),
        ("noise", None, "noise"),
    ],
)
def test_damaged_layouts(tmp_path: Path, item: str, value: object, text: str) -> None:
    path = damaged(write_netx(circuit_generator(), tmp_path / "gen.net"), f"esvae/circuit/{item}", value)
    with pytest.raises(NetFileError) as error:
        read_netx(path)
    assert text in str(error.value)


def test_layers_that_are_no_circuit(tmp_path: Path) -> None:
    split, chained = (write_netx(circuit_generator(chained=way), tmp_path / f"{way}.net") for way in (False, True))
    with h5py.File(split, "r+") as file:
        file.move("esvae/circuit/layer/1", "esvae/circuit/layer/3")
        file.copy("esvae/circuit/layer/2", "esvae/circuit/layer/1")
    with pytest.raises(NetFileError, match="a circuit is a dense_rec and a dense layer, got dense, dense"):
        read_netx(split)
    with h5py.File(chained, "r+") as file:
        del file["layer/1/weight_rec"]
    with pytest.raises((NetFileError, UnsupportedLayerError)):
        read_netx(chained)


def test_a_circuit_that_does_not_fit_its_decoder() -> None:
    made, circuit = circuit_generator(), circuit_of(circuit_generator())
    assert circuit is not None
    fewer = replace(circuit.latents, weight=circuit.latents.weight[:-1], bias=np.ones(LATENTS - 1, int))
    with pytest.raises(NetFileError, match="the circuit has 5 latents, the network takes 6"):
        replace(made, prior=replace(circuit, latents=fewer))
    heavy = replace(circuit.source, bias=np.full(circuit.source.outputs, 5000))
    with pytest.raises(HardwareRangeError, match=r"layer 1 \(dense_rec\): bias 5000"):
        replace(made, prior=CircuitPrior(heavy, circuit.latents, circuit.layout))


def test_lowering_a_file_to_dense_makes_one_chain_of_it(tmp_path: Path) -> None:
    split = circuit_generator(chained=False)
    path = write_netx(split, tmp_path / "split.net")
    done = relower_file(path, tmp_path / "chain.net", lowering="dense")
    read = read_netx(done.path)
    assert is_chained(read)
    assert read.labels == done.network.labels == ("layer 3 (dense)", "layer 4 (dense)")


def test_its_prior_cannot_be_quantized_again(tmp_path: Path) -> None:
    path = write_netx(circuit_generator(), tmp_path / "gen.net")
    with pytest.raises(UnsupportedLayerError, match="draws on the chip"):
        from_netx(path)


def test_options_have_defaults() -> None:
    assert CircuitOptions().seed == 0
    assert CircuitLayout(1, 0, (521, 168), 64, (("ring", 3),)).group("ring") == slice(0, 3)


@pytest.mark.parametrize("changes", [{"sampler": "systematic"}, {"levels": 8}])
def test_what_a_circuit_does_not_draw_is_refused(changes: dict[str, Any]) -> None:
    host = host_generator()
    assert isinstance(host.prior, Prior)
    with pytest.raises(ConfigError, match="draw on the host, or train with sampler: poisson"):
        with_circuit(replace(host, prior=replace(host.prior, **changes)))
