"""Estimates follow their formulas, carry their labels, and bad profiles are refused with the line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import sim.energy
from esvae.errors import ConfigError
from export.ir import Conv, Dense, Lif, Network
from paper_networks import cifar10_decoder
from sim.counts.ops import Counts, count
from sim.energy.estimate import EnergyEstimate, connectivity, estimate_all
from sim.energy.profile import Profile, load_profile, profile_names
from sim.twin.engine import Engine

NEURON = Lif(4096, 4096, 131_071)
SHIPPED = ["cmos45", "loihi1_davies2018", "loihi1_sanafe2025", "loihi2_anchored"]
GOOD = """\
name: mine
title: My chip
chip: loihi2
energy:
  synaptic_operation: {value: 10, range: [5, 20], unit: pJ, source: bench, basis: fitted}
  neuron_update: {value: 100, unit: fJ, source: bench, basis: measured}
  spike: {value: 1e-3, unit: nJ, source: bench, basis: measured}
  packet: {value: 2, unit: pJ, source: bench, basis: measured}
  hop: {value: 3, unit: pJ, source: bench, basis: measured}
time:
  synaptic_operation: {value: 1, unit: ns, source: bench, basis: measured}
  neuron_update: {value: 4, unit: ns, source: bench, basis: simulated}
  barrier: {range: [100, 300], unit: ns, source: bench, basis: measured}
power:
  static: {value: 100, unit: mW, source: bench, basis: measured}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def small() -> tuple[Network, Counts]:
    """Three inputs to two neurons, two steps, two images with 4 and 2 spikes: 8 and 4 operations."""
    network = Network((3,), (Dense(np.full((2, 3), 2, np.int32), None, NEURON),), time_steps=2)
    spikes = np.array([[[1, 1, 0], [1, 1, 0]], [[1, 0, 0], [1, 0, 0]]], np.uint8)
    return network, count(network, Engine(network).run(spikes))


def test_by_hand(tmp_path: Path) -> None:
    network, counts = small()
    (one,) = estimate_all(network, counts, [load_profile(written(tmp_path, GOOD))])
    parts = {part.name: part for part in one.parts}
    assert parts["synaptic operations"].energy.value == pytest.approx(6 * 10e-12)
    assert (parts["synaptic operations"].energy.low, parts["synaptic operations"].energy.high) == pytest.approx(
        (6 * 5e-12, 6 * 20e-12)
    )
    assert parts["neuron updates"].energy.value == pytest.approx(2 * 2 * 100e-15)
    assert parts["spikes"].energy.value == pytest.approx(3 * 1e-12)
    assert parts["packets"].energy.value == pytest.approx(3 * 2e-12)
    assert parts["hops"].energy.value == 0  # all on one core
    # Two neurons at 4 ns take longer than 3 operations at 1 ns.
    assert one.step_time is not None
    assert (one.step_time.value, one.step_time.low, one.step_time.high) == pytest.approx((208e-9, 108e-9, 308e-9))
    assert one.latency is not None
    assert one.interval is not None
    assert one.latency.value == pytest.approx((2 + 1) * 208e-9)
    assert one.interval.value == pytest.approx(2 * 208e-9)
    assert parts["static power"].energy.value == pytest.approx(0.1 * 416e-9)
    assert one.energy.value == pytest.approx(sum(part.energy.value for part in one.parts))
    assert one.static_share is not None
    assert one.static_share.value == pytest.approx(parts["static power"].energy.value / one.energy.value)
    assert one.static_share.low < one.static_share.value < one.static_share.high
    assert (one.label, one.basis) == ("estimate", "simulated")
    assert parts["static power"].basis == "simulated"
    assert parts["spikes"].basis == "from silicon figures"


def texts(value: object) -> list[str]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [t for item in dataclasses.fields(value) for t in texts(getattr(value, item.name))]
    if isinstance(value, tuple | list):
        return [t for item in value for t in texts(item)]
    return [value] if isinstance(value, str) else []


def all_estimates() -> list[EnergyEstimate]:
    network, counts = small()
    return estimate_all(network, counts, [load_profile(name) for name in SHIPPED])


def test_no_estimate_calls_itself_measured(tmp_path: Path) -> None:
    silicon = GOOD.replace("fitted", "measured").replace("simulated", "measured")
    network, counts = small()
    (own,) = estimate_all(network, counts, [load_profile(written(tmp_path, silicon))])
    assert own.basis == "from silicon figures"
    for one in (own, *all_estimates()):
        assert one.label == "estimate"
        assert one.basis
        assert not any("measured" in text for text in texts(one))
        assert one.energy.low <= one.energy.value <= one.energy.high


def test_shipped_profiles_are_sound_and_named_as_their_files() -> None:
    assert profile_names() == SHIPPED
    for name in SHIPPED:
        profile = load_profile(name)
        assert profile.name == name
        assert profile.about


def test_shipped_figures_are_those_of_their_sources() -> None:
    davies, sanafe, anchored, cmos = (
        load_profile(name) for name in ("loihi1_davies2018", "loihi1_sanafe2025", "loihi2_anchored", "cmos45")
    )
    assert davies.energy.synaptic_operation is not None
    assert davies.energy.synaptic_operation.spread[0] == pytest.approx(23.6e-12)
    assert davies.power is not None
    assert (davies.power.static.value, davies.power.static.basis) == (0.104, "measured")
    assert sanafe.energy.synaptic_operation_sparse is not None
    assert sanafe.energy.synaptic_operation_sparse.value == 33.6
    assert anchored.energy.spike is not None
    assert (anchored.energy.spike.value, anchored.chip) == (12, "loihi2")
    assert cmos.energy.multiply_accumulate is not None
    assert (cmos.energy.multiply_accumulate.value, cmos.time, cmos.power) == (4.6, None, None)


def test_factors_on_the_whole_leave_the_value(tmp_path: Path) -> None:
    network, counts = small()
    text = GOOD + "uncertainty:\n  energy: {range: [0.5, 4], unit: times, source: guess, basis: assumed}\n"
    (plain,) = estimate_all(network, counts, [load_profile(written(tmp_path, GOOD))])
    (wide,) = estimate_all(network, counts, [load_profile(written(tmp_path, text))])
    assert wide.parts[0].energy.value == plain.parts[0].energy.value
    assert wide.parts[0].energy.low == plain.parts[0].energy.low * 0.5
    assert wide.parts[0].energy.high == plain.parts[0].energy.high * 4
    assert wide.basis == plain.basis


def test_the_papers_comparison_with_a_float_network() -> None:
    network, counts = small()
    (one,) = estimate_all(network, counts, [load_profile("cmos45")])
    assert one.energy.value == pytest.approx(6 * 0.9e-12)
    assert one.float_energy is not None
    assert one.float_energy.value == pytest.approx(6 * 4.6e-12)
    assert one.step_time is None
    assert one.notes == ("Left out: times, static power",)


def test_connectivity_decides_which_figure() -> None:
    sparse = np.eye(4, dtype=np.int32) * 2
    conv = Conv(np.full((4, 1, 1, 1), 2, np.int32), None, NEURON)
    assert connectivity(Network((4,), (Dense(sparse, None, NEURON), Dense(sparse + 2, None, NEURON)))) == (
        "sparse",
        "dense",
    )
    assert connectivity(Network((1, 1, 1), (conv,))) == ("conv",)


def test_a_network_that_cannot_be_mapped_still_has_its_operations() -> None:
    dense = Dense(np.full((1, 20_000), 2, np.int32), None, NEURON)
    network = Network((20_000,), (dense,), time_steps=1)
    counts = count(network, Engine(network).run(np.ones((1, 1, 20_000), np.uint8)))
    for one in estimate_all(network, counts, [load_profile(name) for name in SHIPPED[1:]]):
        assert one.parts[0].amount == 20_000
        assert one.latency is None
        assert one.interval is None
        assert one.static_share is None
        assert any(note.startswith("Cannot be mapped: layer 1 (dense)") for note in one.notes)


def test_profiles_of_one_chip_share_its_mapping() -> None:
    network = cifar10_decoder()
    spikes = (np.random.default_rng(0).random((1, 16, 128)) < 0.3).astype(np.uint8)
    counts = count(network, Engine(network).run(spikes))
    found = {one.profile: one for one in estimate_all(network, counts, [load_profile(name) for name in SHIPPED])}
    assert found["loihi1_davies2018"].cores == found["loihi1_sanafe2025"].cores == 66
    assert found["loihi2_anchored"].cores == 32
    assert found["cmos45"].energy.value < found["loihi1_sanafe2025"].energy.value


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unit: pJ, source: bench, basis: fit", "source: x, basis: fit", ":5: energy.synaptic_operation.unit: is"),
        ("value: 10,", "value: -10,", ":5: energy.synaptic_operation.value: expected at least 0, got -10"),
        ("  neuron_update: {value: 100,", "  neuron_update: {value: -100,", ":6: energy.neuron_update.value"),
        ("  hop:", "  hopp:", ":9: energy.hopp: unknown key"),
        ("chip: loihi2", "chip: loihi3", ":3: chip: expected "),
        ("unit: fJ", "unit: ns", ":6: energy.neuron_update.unit"),
        ("unit: fJ", "unit: 7", ":6: energy.neuron_update.unit"),
        ("basis: fitted", "basis: guessed", ":5: energy.synaptic_operation.basis"),
        ("source: bench, basis: fitted", "basis: fitted", ":5: energy.synaptic_operation.source: is missing"),
        ("value: 10, range: [5, 20]", "value: 30, range: [5, 20]", "expected low <= value <= high"),
        ("value: 10, range: [5, 20],", "", ":5: energy.synaptic_operation: needs a value or a range"),
        ("range: [5, 20]", "range: [5]", ":5: energy.synaptic_operation.range"),
        ("value: 10,", "value: .nan,", ":5: energy.synaptic_operation.value"),
        ("value: 10,", "value: yes,", ":5: energy.synaptic_operation.value: expected a number, got a truth value"),
        ("value: 10,", "value: ten,", ":5: energy.synaptic_operation.value"),
        ("name: mine", "name: mine\nname: yours", ":2: name stands twice"),
        ("name: mine", "name: [mine", ": not valid YAML: "),
        ("title: My chip", "title: &a My chip\nabout: *a", ":2: anchors are not read"),
        ("title: My chip", "title: !!python/object:os.system x", ":2: not valid YAML: "),
        ("title: My chip", "? [a, b]\n: c", ":2: a key must be a plain word"),
        ("title: My chip\n", "", ":1: title: is missing"),
        ("chip: loihi2\n", "", "name the chip"),
        ("  neuron_update: {value: 4, unit: ns", "  barriers: {value: 4, unit: ns", ":10: time.neuron_update: is"),
        ("synaptic_operation: {value: 1, ", "synaptic_operation_conv: {value: 1, ", ":10: time: needs synaptic_op"),
        (GOOD, "", "profile: "),
        (GOOD, "- 1\n- 2\n", "profile: "),
        (GOOD, "a: \0", "zero byte"),
        (GOOD, "[\n" * 4000, "not valid YAML"),
        (GOOD, "a: 2020-99-99", "not valid YAML"),
    ],
    ids=lambda text: text[:24],
)
def test_bad_profiles_are_refused_with_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_profiles(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .*shipped are cmos45, loihi1_davies2018"):
        load_profile(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not readable as text"):
        load_profile(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_bytes(b" " * (1 << 21))
    with pytest.raises(ConfigError, match="larger than"):
        load_profile(tmp_path / "c.yaml")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_hold(name: str) -> None:
    """By name they are read unchecked, by path as anybody's."""
    path = Path(sim.energy.__file__).parent / "profiles" / f"{name}.yaml"
    assert load_profile(path) == load_profile(name)


def test_json_is_read_too(tmp_path: Path) -> None:
    def given(items: list[tuple[str, object]]) -> dict[str, object]:
        return {name: value for name, value in items if value is not None}

    profile = load_profile("cmos45")
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(dataclasses.asdict(profile, dict_factory=given), indent=1))
    assert isinstance(load_profile(path), Profile)
    assert load_profile(path) == profile
