"""Networks whose neurons send messages, on the twin, off the CPU and in ONNX Runtime, against the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.backends.onnx import session
from depth import examples
from esvae.chip.formats import FRAME
from esvae.errors import DataError, HardwareRangeError, UnsupportedLayerError
from export.ir import Conv, Delta, Dense, InputNeurons, Network, Shape, Sigma, SigmaDelta, Synapse
from export.netx.rules import filling_shift
from sim import reference
from sim.counts.ops import count
from sim.stimulus import Stimulus, Timing, as_stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from sim.twin.sums import LayerSums
from strategies import frames_for, sigma_delta_networks, stimuli_for


def states(network: Network, stimulus: Stimulus) -> dict[str, np.ndarray]:
    return named_traces(list(reference.simulate(network, stimulus)), network)


@settings(max_examples=examples(150))
@given(st.data())
def test_twin_equals_reference_by_every_path(data: st.DataObject) -> None:
    network = data.draw(sigma_delta_networks(transposed=True))
    stimulus = data.draw(stimuli_for(network))
    engine = Engine(network, path=data.draw(st.sampled_from(["auto", "dense", "events", "gather"])))
    if data.draw(st.booleans()):
        engine._make(True, "auto")
    expected = states(network, stimulus)
    assert first_difference(expected, named_traces(engine.traces(stimulus), engine.network)) is None
    last = expected[f"{network.array_names[-1]}.v"][:, -1]
    assert np.array_equal(engine.final_potentials(stimulus), last)


def wraps_products(graded: bool, synapse: tuple[Synapse, Shape, Shape]) -> bool:
    """Whether messages enter delayed synapses whose weights netx shifts, as it does below 64."""
    layer = synapse[0]
    return graded and isinstance(layer, Dense) and layer.delay is not None and filling_shift(layer.weight) > 0


@settings(max_examples=examples(60))
@given(st.data())
def test_onnx_runtime_equals_reference(data: st.DataObject) -> None:
    pytest.importorskip("onnxruntime")
    from export.onnx.integer import integer_model

    network = data.draw(sigma_delta_networks(transposed=True))
    stimulus = as_stimulus(network, replace(data.draw(stimuli_for(network)), timing=Timing()))
    if any(map(wraps_products, network.graded, network.synapses())):
        with pytest.raises(UnsupportedLayerError, match="Lava wraps each product"):
            integer_model(network, steps=stimulus.steps)
        return
    model = integer_model(network, steps=stimulus.steps, traces=True)
    ready = session(model)
    names = [output.name for output in ready.get_outputs()]
    name = "spikes" if stimulus.spikes is not None else "frames" if stimulus.framed else "pixels"
    got = dict(zip(names, ready.run(names, {name: np.ascontiguousarray(stimulus.values)}), strict=True))
    expected = states(network, stimulus)
    assert np.array_equal(got.pop("potentials"), expected[f"{network.array_names[-1]}.v"][:, -1])
    assert first_difference(expected, got) is None


@settings(max_examples=examples(30))
@given(st.data())
def test_operations_are_those_of_messages_that_were_sent(data: st.DataObject) -> None:
    network = data.draw(sigma_delta_networks(mixed=False))
    stimulus = data.draw(stimuli_for(network))
    counts = count(network, Engine(network).run(stimulus, chunk=1))
    traces = states(network, stimulus)
    inputs = network.input_neurons is not None
    sent = [traces[f"{name}.s"] for name in network.array_names]
    entering = sent if inputs else [stimulus.values, *sent]
    for k, (layer, before, after) in enumerate(network.synapses()):
        arrived = entering[k] != 0
        if stimulus.timing.stagger:
            arrived = np.concatenate([np.zeros_like(arrived[:, :1]), arrived[:, :-1]], axis=1)
        exists = replace(layer, weight=(layer.weight != 0).astype(np.int64), **NO_DELAY[type(layer)])
        rows = arrived.reshape(-1, *before)
        assert counts.layers[k].synops == reference.synapse_sum(exists, rows).sum() / len(stimulus)
        assert counts.layers[k].spikes == (sent[k + inputs] != 0).sum() / len(stimulus)
        assert counts.layers[k].updates == stimulus.steps * int(np.prod(after))


NO_DELAY: dict[type, dict[str, None]] = {Dense: {"delay": None}, Conv: {}}


def encoder(*layers: Dense | Conv, threshold: int = 0, inputs: int = 1, steps: int = 4) -> Network:
    return Network((inputs,), layers, time_steps=steps, input_neurons=InputNeurons(Delta(threshold)))


def test_the_width_of_messages_is_told() -> None:
    network = encoder(Dense(np.array([[32]]), None, SigmaDelta(1)), Dense(np.array([[2]]), None, Sigma()))
    stimulus = Stimulus(None, np.array([[[1], [0], [0], [4]]]), 4)
    first, second = count(network, Engine(network).run(stimulus)).layers
    # Messages of 64, -64 and 256; behind it 2048 and back is less than the threshold of 4096, and 8192 is sent as 128.
    assert (first.message_bits, first.spikes_in, first.synops) == (10, 3, 3)
    assert (second.message_bits, second.spikes_in) == (9, 1)


def test_large_messages_take_wider_sums() -> None:
    network = encoder(Dense(np.array([[100]]), None, Sigma()))
    engine = Engine(network)
    for value, kind in ((100, torch.float32), (FRAME.max, torch.float64)):
        stimulus = Stimulus(None, np.array([[value]]), 2)
        made: list[torch.dtype] = []
        sums = engine._stages[0].sums
        make = sums._of  # type: ignore[union-attr]
        sums._of = lambda dtype, make=make, made=made: made.append(dtype) or make(dtype)  # type: ignore[union-attr]
        assert engine.final_potentials(stimulus).tolist() == [[reference_end(network, stimulus)]]
        assert made == [kind]
        sums._of = make  # type: ignore[union-attr]
    assert isinstance(make(torch.float32), LayerSums)


def reference_end(network: Network, stimulus: Stimulus) -> int:
    return int(list(reference.simulate(network, stimulus))[-1].v[0, -1, 0])


@settings(max_examples=examples(20))
@given(st.data())
def test_a_still_frame_is_the_same_frame_at_every_step(data: st.DataObject) -> None:
    network = data.draw(sigma_delta_networks(mixed=False).filter(lambda n: n.input_neurons is not None))
    frames = data.draw(frames_for(network))
    still = frames if frames.ndim == len(network.input_shape) + 1 else frames[:, 0]
    steps = network.time_steps or 4
    moving = np.repeat(still[:, None], steps, axis=1)
    engine = Engine(network)
    one, other = (named_traces(engine.traces(Stimulus(None, x, steps)), engine.network) for x in (still, moving))
    assert first_difference(one, other) is None


def test_what_cannot_be_is_refused() -> None:
    weight = np.array([[2]])
    network = encoder(Dense(weight, None, SigmaDelta(1)))
    with pytest.raises(DataError, match="sigma-delta neurons are not reset"):
        as_stimulus(network, Stimulus(None, np.array([[1]]), 4, Timing(2)))
    with pytest.raises(DataError, match=r"frames have shape \(1, 3, 1\), expected \(images, 1\) or \(images, 4 steps"):
        as_stimulus(network, Stimulus(None, np.zeros((1, 3, 1), int), 4))
    with pytest.raises(DataError, match="range from 524288"):
        as_stimulus(network, Stimulus(None, np.array([[FRAME.max + 1]]), 4))
    with pytest.raises(HardwareRangeError, match="threshold 524288 outside"):
        encoder(Dense(weight, None, SigmaDelta(1 << 19)))
    tall, wide = np.ones((1 << 14, 1), int), np.full((1, 1 << 14), -256)
    encoder(Dense(tall, None, SigmaDelta(0)), Dense(wide, None, SigmaDelta(0)))
    with pytest.raises(HardwareRangeError, match="sum to 4194304, above 4194303"):
        encoder(Dense(tall, None, Sigma()), Dense(wide, None, SigmaDelta(0)))
