"""Passes say what they require; one that lacks it, or breaks what it promises, names itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esvae.chip.neuron import FloatLif, Lif
from esvae.errors import ConfigError, DataError, EsvaeError, NetFileError, PassError
from export import pipeline
from export.ir import Dense, FloatLayer, FloatNetwork, Network
from export.passes.stages import Part, Pass, State
from export.pipeline import PASSES, Options, compiled, export_network, warnings_of

NUMBER: Part[int] = Part("number")
SQUARE: Part[int] = Part("square")
SQUARED = Pass("square", (NUMBER,), lambda state: {SQUARE: state[NUMBER] ** 2}, lambda state: state[SQUARE] >= 0)


def small() -> FloatNetwork:
    return FloatNetwork((3,), (FloatLayer(Dense(np.ones((2, 3)), None, FloatLif(0.5, 1.0))),), 4)


def test_a_pass_adds_its_parts_and_leaves_the_state_as_it_is() -> None:
    before = State({NUMBER: -3})
    after = SQUARED(before)
    assert (after[NUMBER], after[SQUARE]) == (-3, 9)
    assert SQUARE not in before


def test_a_pass_names_itself_and_what_it_lacks() -> None:
    with pytest.raises(PassError, match=r"^square: requires number; run the pass that gives it before this one"):
        SQUARED(State({}))


@pytest.mark.parametrize("number", range(len(PASSES) - 1))
def test_a_pass_that_is_left_out_is_missed_by_the_one_that_requires_it(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PASSES", PASSES[:number] + PASSES[number + 1 :])
    with pytest.raises(PassError, match=rf"^{PASSES[number + 1].name}: requires "):
        compiled(small())


def test_a_pass_cannot_use_what_it_does_not_require() -> None:
    quiet = Pass("square", (), SQUARED.run, SQUARED.ensures)
    with pytest.raises(KeyError):
        quiet(State({NUMBER: 3}))


def test_a_pass_that_breaks_its_promise_says_so() -> None:
    broken = Pass("square", (NUMBER,), lambda state: {SQUARE: -1}, SQUARED.ensures)
    with pytest.raises(PassError, match=r"^square: what it promises does not hold"):
        broken(State({NUMBER: 1}))


def test_what_a_pass_refuses_bears_its_name_and_keeps_its_kind() -> None:
    def refuse(state: State) -> dict[Part[int], int]:
        raise NetFileError("layer 1 (dense): no")

    with pytest.raises(NetFileError, match=r"^refusing: layer 1 \(dense\): no"):
        Pass("refusing", (), refuse, lambda state: True)(State({}))


@pytest.mark.parametrize(
    ("spikes", "text"),
    [
        (np.zeros((4, 2, 4), np.uint8), r"spikes have shape \(4, 2, 4\), expected \(images, steps, 3\), none empty"),
        (np.zeros((0, 2, 3), np.uint8), r"spikes have shape \(0, 2, 3\), expected \(images, steps, 3\), none empty"),
        ([1, 0, 1], r"spikes have shape \(3,\), expected"),
        ([[0], [0, 1]], r"spikes \[\[0\], \[0, 1\]\]: expected an array \(images, steps, 3\)"),
        ("a.npy", r"spikes have shape \(\), expected"),
        (np.full((1, 2, 3), 0.5), r"input spikes must be 0 or 1: image 0, step 0, input 0 is 0\.5"),
    ],
)
@pytest.mark.parametrize("calibration", ["mse", "spikes"])
def test_spikes_that_do_not_fit_are_one_line(spikes: Any, text: str, calibration: Any, tmp_path: Path) -> None:
    options = Options(spikes=spikes, calibration=calibration)
    done = compiled(small())
    for call in (
        lambda: export_network(small(), tmp_path / "a.net", options),
        lambda: warnings_of(done, small(), options),
    ):
        with pytest.raises(DataError, match=f"^{text}"):
            call()
    assert not list(tmp_path.iterdir())


def test_spikes_of_any_kind_are_taken_as_they_are() -> None:
    drawn = np.random.default_rng(0).integers(0, 2, (3, 4, 3), dtype=np.uint8)
    as_array = compiled(small(), Options(spikes=drawn, calibration="spikes"))
    as_list = compiled(small(), Options(spikes=drawn.tolist(), calibration="spikes"))
    assert as_array.network.content_hash() == as_list.network.content_hash()
    assert as_array.fidelity == as_list.fidelity


@pytest.mark.parametrize(
    ("source", "options", "kind", "text"),
    [
        ("a.net", Options(), DataError, "source 'a.net': a str; let esvae.export read it"),
        (None, Options(), DataError, "source None: a NoneType; give it to esvae.from_norse"),
        (small().layers[0], Options(), DataError, "source FloatLayer.*: a FloatLayer; give it to esvae.from_norse"),
        (
            Network((3,), (Dense(np.full((2, 3), 2), None, Lif(4096, 2048, 51)),), 4),
            Options(),
            DataError,
            r"Network\(3 -> 2, 4 steps\) holds integers already; write it with export.netx.write_netx$",
        ),
        (small(), {"weight_bits": 4}, ConfigError, r"options \{'weight_bits': 4\}: expected export.pipeline.Options"),
    ],
)
def test_what_is_no_float_network_is_one_line(
    source: Any, options: Any, kind: type[EsvaeError], text: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=f"^{text}"):
        export_network(source, tmp_path / "a.net", options)


@pytest.mark.parametrize("target", [None, 5])
def test_a_target_that_is_no_name_is_told_before_any_pass(target: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^target {target}: expected a name that ends in \.net, got "):
        export_network(small(), target, progress=lambda share, name: pytest.fail(name))
