"""Delays, resets and either clock on examples small enough to follow by hand."""

from __future__ import annotations

import numpy as np
import pytest

from esvae.errors import ConfigError, DataError, HardwareRangeError
from export.ir import INTEGRATOR, NEVER_FIRES, Dense, InputNeurons, Lif, Network
from sim import reference
from sim.stimulus import Stimulus, Timing
from sim.trace import Trace, first_difference, named_traces
from sim.twin.engine import Engine

PLAIN = Lif(4096, 4096, 131_071)  # the potential shows what arrives at a step, and nothing fires
UNIT = 64  # of a potential, for a weight of 1


def run(network: Network, stimulus: Stimulus) -> list[Trace]:
    """The reference's traces, once the twin has been found to give the same."""
    expected = list(reference.simulate(network, stimulus))
    named = (named_traces(each, network) for each in (expected, Engine(network).traces(stimulus)))
    assert first_difference(*named) is None
    return expected


def spikes(*steps: list[int], timing: Timing = Timing()) -> Stimulus:
    return Stimulus(np.array([steps], np.uint8), None, len(steps), timing)


def test_each_synapse_holds_a_spike_back_by_its_own_delay() -> None:
    weight, delay = np.array([[2, 4], [8, 16]]), np.array([[0, 1], [2, 0]])
    network = Network((2,), (Dense(weight, None, PLAIN, delay),))
    v = run(network, spikes([1, 1], [0, 0], [0, 0], [0, 0]))[0].v[0]
    assert (v // UNIT).tolist() == [[2, 16], [4, 0], [0, 8], [0, 0]]


def test_spikes_that_a_delay_holds_back_outlive_a_reset_of_the_neurons() -> None:
    network = Network((1,), (Dense(np.array([[2]]), None, Lif(0, 0, 131_071), np.array([[2]])),))
    trace = run(network, spikes([1], [1], [0], [0], [0], timing=Timing(3)))[0]
    # Two spikes arrive at steps 2 and 3; the reset at step 3 takes what the first left, not the second.
    assert (trace.u[0, :, 0] // UNIT).tolist() == [0, 0, 2, 2, 2]


def test_longest_delay_reaches_past_the_window() -> None:
    network = Network((1,), (Dense(np.array([[2]]), None, PLAIN, np.array([[62]])),))
    assert not run(network, spikes(*[[1]] * 62))[0].v.any()
    assert run(network, spikes(*[[1]] * 63))[0].v[0, -1, 0] == 2 * UNIT


def test_a_delay_over_62_is_refused_and_not_clamped() -> None:
    with pytest.raises(HardwareRangeError, match=r"layer 1 \(dense\): delay 63 outside \[0, 62\]; netx clamps"):
        Network((1,), (Dense(np.array([[2]]), None, PLAIN, np.array([[63]])),))


def chain(bias: int) -> Network:
    layer = Dense(np.array([[100]]), np.array([bias]), Lif(4096, 0, 250))
    return Network((1,), (layer, layer))


def test_staggered_layers_start_a_step_later_each() -> None:
    stimulus = spikes([1], [1], [1], [1], [1], [1], [1], [1])
    aligned = run(chain(0), stimulus)
    staggered = run(chain(0), Stimulus(stimulus.spikes, None, 8, Timing(stagger=True)))
    for k, (one, other) in enumerate(zip(aligned, staggered, strict=True)):
        assert not other.v[:, : k + 1].any()
        assert np.array_equal(other.v[:, k + 1 :], one.v[:, : 8 - (k + 1)])


def test_before_its_window_a_staggered_layer_runs_on_its_bias() -> None:
    trace = run(chain(10), spikes([1], [1], [1], [1], timing=Timing(stagger=True)))
    assert (trace[0].v[0, :, 0] // UNIT).tolist() == [10, 120, 230, 0]
    assert (trace[1].v[0, :, 0] // UNIT).tolist() == [10, 20, 30, 40]


def test_resets_come_a_step_later_in_each_staggered_layer() -> None:
    network, interval = chain(10), 3
    for offset in (0, 1, 5):
        trace = run(network, spikes(*[[0]] * 9, timing=Timing(interval, offset, True)))
        for k in range(2):
            start = [t for t in range(9) if t % interval == (offset + k) % interval]
            assert (trace[k].v[0, start, 0] == 10 * UNIT).all()


def test_aligned_resets_divide_a_long_raster_into_windows() -> None:
    rng = np.random.default_rng(0)
    layer = Dense(rng.integers(-100, 100, (4, 3)) * 2, rng.integers(-50, 50, 4), Lif(300, 500, 200))
    network = Network((3,), (layer, Dense(rng.integers(-100, 100, (2, 4)) * 2, None, Lif(0, 100, 99))))
    windows = (rng.random((5, 4, 3)) < 0.5).astype(np.uint8)
    apart = run(network, Stimulus(windows, None, 4))
    together = run(network, Stimulus(windows.reshape(1, 20, 3), None, 20, Timing(4)))
    for one, other in zip(apart, together, strict=True):
        assert np.array_equal(one.v.reshape(1, 20, -1), other.v)


def test_input_neurons_take_an_image_as_their_bias_at_every_step() -> None:
    network = Network((1, 1, 2), (), input_neurons=InputNeurons(Lif(4096, 0, 100)))
    trace = run(network, Stimulus(None, np.array([[[[40, -7]]]]), 4))[0]
    assert (trace.v[0, :, 0, 0] // UNIT).tolist() == [[40, -7], [80, -14], [0, -21], [40, -28]]
    assert trace.s[0, :, 0, 0, 0].tolist() == [0, 0, 1, 0]


def test_a_dense_layer_without_neuron_sums_up_and_never_fires() -> None:
    network = Network((1,), (Dense(np.array([[254]]), None, INTEGRATOR),))
    trace = run(network, spikes(*[[1]] * 600))[0]
    assert trace.v[0, 9, 0] == 10 * 254 * UNIT
    assert not trace.s.any()
    assert trace.u.min() < 0, "the current no longer wraps, as it does where nothing makes it leak"


def test_the_widest_threshold_never_fires_even_where_the_register_saturates() -> None:
    for threshold, fires in ((131_071, True), (NEVER_FIRES, False)):
        network = Network((1,), (Dense(np.array([[254]]), np.array([4095]), Lif(0, 0, threshold)),))
        assert run(network, spikes(*[[1]] * 80))[0].s.any() == fires


@pytest.mark.parametrize(
    ("timing", "told"), [({"reset_interval": 0}, "reset interval 0"), ({"reset_offset": -1}, "reset offset -1")]
)
def test_impossible_timing_is_refused(timing: dict[str, int], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Timing(**timing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((1, 3)), "expected \\(images, 2\\)"),
        (np.full((1, 2), 0.5), "whole numbers.*round\\(x \\* 64 \\+ 0\\)"),
        (np.full((1, 2), 4096), "outside \\[-4096, 4095\\]"),
        (None, "take images and no spikes"),
    ],
)
def test_images_that_do_not_fit_are_refused(images: np.ndarray | None, told: str) -> None:
    network = Network((2,), (), input_neurons=InputNeurons(PLAIN))
    given = Stimulus(None, images, 3) if images is not None else np.zeros((1, 3, 2), np.uint8)
    with pytest.raises(DataError, match=told):
        Engine(network).final_potentials(given)
