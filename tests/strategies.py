"""Hypothesis strategies for integer networks and spikes, shared by the whole suite."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
from hypothesis import strategies as st

from esvae.chip.formats import BIAS, DECAY_UNITY, DELAY, FRAME, SIGMA_THRESHOLD, THRESHOLD, WEIGHT, SpikeLaw
from export.ir import (
    INTEGRATOR,
    NEVER_FIRES,
    Conv,
    ConvTranspose,
    Delta,
    Dense,
    Flatten,
    ImageReadout,
    InputNeurons,
    Layer,
    Lif,
    Network,
    Prior,
    RecurrentDense,
    Shape,
    Sigma,
    SigmaDelta,
)
from export.netx.rules import loaded_dense_weight, loaded_values
from sim.stimulus import Stimulus, Timing

__all__ = [
    "foreign_networks",
    "frames_for",
    "generators",
    "lifs",
    "map_layers",
    "networks",
    "recurrent_layers",
    "recurrent_networks",
    "sigma_delta_networks",
    "spikes_for",
    "stimuli_for",
    "weights",
    "wide_networks",
]

decays = st.one_of(st.sampled_from([0, 1, 819, 2048, 3072, 4095, DECAY_UNITY]), st.integers(0, DECAY_UNITY))


@st.composite
def lifs(draw: st.DrawFn) -> Lif:
    """Neurons over all decays and thresholds, the limits and small thresholds (which fire) more often."""
    threshold = draw(
        st.one_of(st.sampled_from([0, 1, THRESHOLD.max]), st.integers(0, 600), st.integers(0, THRESHOLD.max))
    )
    return Lif(draw(decays), draw(decays), threshold)


@st.composite
def own_lifs(draw: st.DrawFn, features: int) -> Lif:
    """As :func:`lifs`, of a layer whose neurons, or channels, may have decays of their own."""
    neuron = draw(lifs())
    own = draw(st.sampled_from(["one", "one", "one", "current", "voltage", "both"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for name in ("current", "voltage"):
        if own in (name, "both"):
            each = rng.choice([0, 1, 819, 2048, DECAY_UNITY, *rng.integers(0, DECAY_UNITY, 5)], features)
            neuron = replace(neuron, **{f"{name}_decay": tuple(each.tolist())})
    return neuron


@st.composite
def weights(draw: st.DrawFn, shape: Shape, *, exact_dense: bool = False) -> np.ndarray:
    """Weights that are mixed, all positive, all negative, odd or even; never all zero.

    ``exact_dense`` keeps to what stock netx loads unchanged in a dense layer (see ``export/netx/rules.py``).
    """
    kind = draw(st.sampled_from(["mixed", "even", "positive", "negative", "sparse", "limits"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = WEIGHT.min, WEIGHT.max
    if kind == "positive":
        values = rng.integers(1, high + 1, shape)
    elif kind == "negative":
        values = rng.integers(low + 1, 0, shape)
    elif kind == "limits":
        values = rng.choice([-256, 254], shape)
    elif kind == "even":
        values = rng.integers(-128, 128, shape) * 2
    else:
        values = rng.integers(-200, 201, shape)
        if kind == "sparse":
            values = np.where(rng.random(shape) < 0.7, 0, values)
    if exact_dense and (values < 0).any() and not (values < 0).all():
        values = np.clip(values & ~1, -254, 254)
    if exact_dense and kind == "limits" and (values < 0).all():
        values = np.maximum(values, -254)
    if not values.any() or (exact_dense and values.max() == 0):
        values.flat[0] = 2
    if exact_dense and (loaded_dense_weight(values) != values).any():  # all negative, the least a power of two
        values = np.clip(values & ~1, -254, 254)
        values.flat[0] = 2
    return values.astype(np.int32)


@st.composite
def biases(draw: st.DrawFn, shape: Shape) -> np.ndarray | None:
    """None, one for each channel or one for each neuron; the limits more often."""
    kind = draw(st.sampled_from(["none", "channel", "neuron", "limits"]))
    if kind == "none":
        return None
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = shape if kind == "neuron" else shape[:1]
    values = rng.choice([BIAS.min, BIAS.max], size) if kind == "limits" else rng.integers(-300, 300, size)
    return values.astype(np.int32)


pairs = st.tuples(st.integers(1, 2), st.integers(1, 2))


@st.composite
def conv_layers(draw: st.DrawFn, shape: Shape, *, transposed: bool = False, piece: int = 1) -> Layer:
    """A (transposed) convolution that fits ``shape``: non-square kernels, strides, paddings, dilations, groups.

    Where channels come in pieces of several there are no groups.
    """
    channels, height, width = shape
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if channels % g == 0])) if piece == 1 else 1
    out = piece * groups * draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride, dilation = draw(pairs), draw(pairs)
    padding = tuple(draw(st.integers(0, k)) for k in kernel)
    neuron = draw(own_lifs(out))
    if transposed:
        slack = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        size = [
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            for n, s, p, d, k, o in zip((height, width), stride, padding, dilation, kernel, slack, strict=True)
        ]
        if min(size) < 1:
            padding = (0, 0)
            size = [n + 2 * p for n, p in zip(size, padding, strict=True)]
        weight = draw(weights((channels, out // groups, *kernel)))
        plain = ConvTranspose(weight, None, neuron, stride, padding, dilation, slack, groups)  # type: ignore[arg-type]
        bias = draw(biases(plain.output_shape(shape)))
        return ConvTranspose(weight, bias, neuron, stride, padding, dilation, slack, groups)  # type: ignore[arg-type]
    if any(n + 2 * p < d * (k - 1) + 1 for n, p, d, k in zip((height, width), padding, dilation, kernel, strict=True)):
        kernel, padding = (1, 1), (0, 0)
    weight = draw(weights((out, channels // groups, *kernel)))
    conv = Conv(weight, None, neuron, stride, padding, dilation, groups)  # type: ignore[arg-type]
    bias = draw(biases(conv.output_shape(shape)))
    return Conv(weight, bias, neuron, stride, padding, dilation, groups)  # type: ignore[arg-type]


@st.composite
def map_layers(draw: st.DrawFn) -> tuple[Conv | ConvTranspose, Shape]:
    """One (transposed) convolution of :func:`conv_layers` and its input shape, nothing square, small maps often."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    layer = draw(conv_layers(shape, transposed=draw(st.booleans())))
    assert isinstance(layer, Conv | ConvTranspose)
    return layer, shape


@st.composite
def networks(draw: st.DrawFn, *, transposed: bool = False, loadable: bool = False) -> Network:
    """Small networks of convolutions, then dense layers.

    Args:
        transposed: also draw transposed convolutions, which netx does not load.
        loadable: only what stock netx loads exactly, with a window.
    """
    layers: list[Layer] = []
    shape: Shape
    if draw(st.booleans()):
        shape = (draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
        input_shape = shape
        for _ in range(draw(st.integers(1, 2))):
            layers.append(draw(conv_layers(shape, transposed=transposed and draw(st.booleans()))))
            shape = layers[-1].output_shape(shape)
        if draw(st.booleans()):
            layers.append(Flatten())
            shape = (math.prod(shape),)
    else:
        shape = input_shape = (draw(st.integers(1, 12)),)
    if len(shape) == 1:
        for _ in range(draw(st.integers(1, 2))):
            out = draw(st.integers(1, 10))
            weight = draw(weights((out, shape[0]), exact_dense=loadable))
            layers.append(Dense(weight, draw(biases((out,))), draw(lifs())))
            shape = (out,)
    return Network(input_shape, tuple(layers), time_steps=draw(st.integers(1, 8)))


@st.composite
def wide_networks(draw: st.DrawFn, *, transposed: bool = False, loadable: bool = True) -> Network:
    """As :func:`networks`, of layers whose neurons come in pieces of eight, so that the twin may gather their sums.

    Every second neuron has a current that is gone after a step, as ESVAE's have.
    """
    layers: list[Layer] = []
    shape: Shape = (draw(st.integers(1, 40)),)
    if draw(st.sampled_from([True, True, False])):
        shape = (draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    input_shape = shape
    for _ in range(draw(st.integers(1, 3))):
        if len(shape) == 3 and (not layers or draw(st.booleans())):
            layers.append(draw(conv_layers(shape, transposed=transposed and draw(st.booleans()), piece=8)))
        elif len(shape) == 3:
            layers.append(Flatten())
            shape = (math.prod(shape),)
        if len(shape) == 1:
            out = 8 * draw(st.integers(1, 6))
            weight = draw(weights((out, shape[0]), exact_dense=loadable))
            layers.append(Dense(weight, draw(biases((out,))), draw(own_lifs(out))))
        layer = layers[-1]
        assert not isinstance(layer, Flatten)
        if draw(st.booleans()):
            kept = draw(st.sampled_from([layer.neuron.voltage_decay, 0, 2048, 3072, 3584, 4095]))
            layers[-1] = replace(layer, neuron=replace(layer.neuron, current_decay=DECAY_UNITY, voltage_decay=kept))
        shape = layers[-1].output_shape(shape)
    return Network(input_shape, tuple(layers), time_steps=draw(st.integers(1, 8)))


@st.composite
def spikes_for(draw: st.DrawFn, network: Network, *, images: int = 3) -> np.ndarray:
    """A raster that fits ``network``: uint8 ``(images, steps, *input shape)``, from silent to firing at every step."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rate = draw(st.sampled_from([0.1, 0.5, 0.9, 1.0]))
    shape = (images, network.time_steps or 4, *network.input_shape)
    return (rng.random(shape) < rate).astype(np.uint8)


@st.composite
def delays(draw: st.DrawFn, shape: Shape) -> np.ndarray | None:
    """None, one delay for all, one an output, one an input, or one a synapse; the longest is 62."""
    kind = draw(st.sampled_from(["none", "one", "output", "input", "synapse"]))
    if kind == "none":
        return None
    size = {"one": (1, 1), "output": (shape[0], 1), "input": (1, shape[1]), "synapse": shape}[kind]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    longest = draw(st.sampled_from([0, 2, 5, DELAY.max]))
    return np.broadcast_to(rng.integers(0, longest + 1, size), shape).copy()


@st.composite
def recurrent_layers(draw: st.DrawFn, inputs: int, outputs: int, *, exact_dense: bool = False) -> RecurrentDense:
    """Both matrices of any kind; one of them empty now and then, so that biases or inputs alone drive the layer."""
    joined = draw(weights((outputs, inputs + outputs), exact_dense=exact_dense))
    entering, recurrent = joined[:, :inputs], joined[:, inputs:]
    kind = draw(st.sampled_from(["both", "both", "both", "entering", "recurrent"]))
    if kind == "entering" or not recurrent.any():
        entering[0, 0], recurrent = 2, np.zeros_like(recurrent)
    elif kind == "recurrent":
        entering = np.zeros_like(entering)
    if exact_dense and not all(_loads(own, other) for own, other in ((entering, recurrent), (recurrent, entering))):
        entering, recurrent = (np.clip(values & ~1, -254, 254) for values in (entering, recurrent))
        entering[0, 0] = 2
    return RecurrentDense(entering, recurrent, draw(biases((outputs,))), draw(own_lifs(outputs)))


@st.composite
def recurrent_networks(draw: st.DrawFn, *, loadable: bool = False) -> Network:
    """A recurrent layer before another layer, recurrent or not; biases of some are what drives them."""
    inputs, width, outputs = (draw(st.integers(1, 9)) for _ in range(3))
    layers: list[Layer] = [draw(recurrent_layers(inputs, width, exact_dense=loadable))]
    if draw(st.booleans()):
        layers.append(draw(recurrent_layers(width, outputs, exact_dense=loadable)))
    else:
        layers.append(
            Dense(draw(weights((outputs, width), exact_dense=loadable)), draw(biases((outputs,))), draw(lifs()))
        )
    return Network((inputs,), tuple(layers), time_steps=draw(st.integers(1, 9)))


def _loads(own: np.ndarray, other: np.ndarray) -> bool:
    present = np.unique(own)
    return np.array_equal(loaded_values(present, np.unique(other)), present)


@st.composite
def foreign_networks(draw: st.DrawFn, *, transposed: bool = False, loadable: bool = True) -> Network:
    """As :func:`networks`, with input neurons, delays, recurrent layers, neurons that cannot fire and dense layers
    without neuron."""
    base = draw(networks(transposed=transposed, loadable=loadable))
    layers = list(base.layers)
    for index, layer in enumerate(layers):
        if isinstance(layer, Dense):
            neuron = draw(own_lifs(layer.outputs))
            kind = draw(st.sampled_from(["plain", "plain", "silent", "integrator", "recurrent", "recurrent"]))
            if kind == "recurrent":
                layers[index] = draw(recurrent_layers(layer.inputs, layer.outputs, exact_dense=loadable))
                continue
            if kind == "silent":
                neuron = replace(neuron, threshold=NEVER_FIRES)
            elif kind == "integrator":
                neuron = INTEGRATOR
            layers[index] = replace(layer, neuron=neuron, delay=draw(delays(layer.weight.shape)))
    neurons = None
    if draw(st.booleans()):
        neurons = InputNeurons(draw(lifs()), draw(st.integers(-100, 100)), draw(st.integers(-100, 100)))
    return replace(base, layers=tuple(layers), input_neurons=neurons)


sigma_thresholds = st.one_of(
    st.sampled_from([0, 1, SIGMA_THRESHOLD.max, NEVER_FIRES]), st.integers(0, 40), st.integers(0, 4000)
)


@st.composite
def sigma_delta_networks(draw: st.DrawFn, *, transposed: bool = False, mixed: bool = True) -> Network:
    """As :func:`foreign_networks`, of sigma-delta neurons; some layers stay integrate-and-fire where ``mixed``."""
    base = draw(networks(transposed=transposed, loadable=True))
    layers = list(base.layers)
    for index, layer in enumerate(layers):
        if isinstance(layer, Flatten):
            continue
        kind = draw(st.sampled_from(["sigma-delta"] * 5 + ["sigma", "lif" if mixed else "sigma-delta"]))
        if index == len(layers) - 1 and draw(st.booleans()):
            kind = "sigma"
        neuron = {"sigma-delta": SigmaDelta(draw(sigma_thresholds)), "sigma": Sigma(), "lif": layer.neuron}[kind]
        layers[index] = replace(layer, neuron=neuron, bias=None if kind == "sigma" else layer.bias)
        if isinstance(layer, Dense):
            layers[index] = replace(layers[index], delay=draw(delays(layer.weight.shape)))
    entry = draw(st.sampled_from(["delta", "delta", "delta", "lif" if mixed else "delta", "spikes"]))
    neurons = None
    if entry != "spikes":
        neurons = InputNeurons(Delta(draw(sigma_thresholds)) if entry == "delta" else draw(lifs()))
    return replace(base, layers=tuple(layers), input_neurons=neurons)


@st.composite
def generators(draw: st.DrawFn, *, transposed: bool = False) -> Network:
    """As :func:`networks`, with a prior of one or more components, and a readout where the last layer is a map."""
    base = draw(networks(transposed=transposed, loadable=not transposed))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    components, noise, latents = draw(st.integers(1, 3)), draw(st.integers(1, 4)), math.prod(base.input_shape)
    prior = Prior(
        rng.normal(size=(components, latents, noise)).astype(np.float32),
        rng.normal(size=(components, latents)).astype(np.float32),
        (rng.random(components) + 0.1).astype(np.float32),
        draw(st.integers(1, 16)),
        draw(st.sampled_from(get_args(SpikeLaw))),
        draw(st.none() | st.integers(1, 64)),
    )
    readout, shape = None, base.shapes[-1]
    if len(shape) == 3:
        r = 2 if shape[0] % 4 == 0 and draw(st.booleans()) else 1
        unit = draw(st.floats(1e-3, 1e6))
        readout = ImageReadout(unit, (shape[0] // r**2, shape[1] * r, shape[2] * r), r)
    provenance = draw(st.dictionaries(st.sampled_from(["name", "config", "note"]), st.sampled_from(["", "x", "ünï"])))
    return replace(base, prior=prior, readout=readout, provenance=provenance)


@st.composite
def frames_for(draw: st.DrawFn, network: Network, *, images: int = 2) -> np.ndarray:
    """Frames for delta encoders: still, walking, or new at every step; small, or up to all that a state holds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    span = draw(st.sampled_from([3, 64, 64, 2000, FRAME.max]))
    kind = draw(st.sampled_from(["still", "walk", "new"]))
    shape = (images, network.time_steps or 4, *network.input_shape)
    frames = rng.integers(-span, span + 1, shape)
    if kind == "still":
        return frames[:, 0]
    if kind == "walk":
        moves = np.where(rng.random(shape) < 0.2, frames // 4, 0)
        frames = np.clip(frames[:, :1] + moves.cumsum(axis=1), FRAME.min, FRAME.max)
    return frames


@st.composite
def stimuli_for(draw: st.DrawFn, network: Network, *, images: int = 2) -> Stimulus:
    """Spikes, or images for input neurons, with every kind of timing; small images (which let neurons fire) often."""
    interval = None if network.sends_messages else draw(st.one_of(st.none(), st.integers(1, 5)))
    timing = Timing(interval, draw(st.integers(0, 6)) if interval else 0, draw(st.booleans()))
    if network.input_neurons is None:
        spikes = draw(spikes_for(network, images=images))
        return Stimulus(spikes, None, spikes.shape[1], timing)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if isinstance(network.input_neurons.neuron, Delta):
        return Stimulus(None, draw(frames_for(network, images=images)), network.time_steps or 4, timing)
    span = draw(st.sampled_from([1, 300, BIAS.max]))
    pictures = rng.integers(-span, span + 1, (images, *network.input_shape))
    return Stimulus(None, pictures.astype(np.int32), network.time_steps or 4, timing)
