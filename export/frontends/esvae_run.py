"""The frontend for our own runs: the decoder and the prior of a trained ESVAE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from esvae.config import config_to_yaml
from esvae.errors import UnsupportedLayerError
from esvae.model.layers import SpikingLayer
from esvae.model.quantized import Rounding
from esvae.run import Run, versions
from export.ir import Conv, ConvTranspose, Dense, FloatLif, ImageReadout, Prior, Synapse
from export.ir.floats import FloatLayer, FloatNetwork, Norm

__all__ = ["float_layer", "from_run", "synapse_of"]


def from_run(run: Run) -> FloatNetwork:
    """The decoder of a run, with the prior that feeds it and the way its potentials become an image."""
    model, config = run.model, run.config
    decoder = model.decoder
    layers = []
    for layer in decoder.layers:
        shape = None
        if isinstance(layer.synapse, nn.Linear):
            shape = (layer.synapse.out_features // decoder.base_size**2, decoder.base_size, decoder.base_size)
        layers.append(replace(float_layer(layer), map_shape=shape, scale=_scale(layer.rounding)))
    readout = synapse_of(decoder.readout, decoder.readout_lif.floats)
    layers.append(FloatLayer(readout, scale=_scale(decoder.readout_rounding)))
    size = config.data.image_size
    weight, bias, share = (values.numpy().copy() for values in model.prior.components())
    levels = config.model.time_steps if config.model.prior.snap else None
    return FloatNetwork(
        input_shape=(config.model.latent,) if decoder.linear else (config.model.latent, 1, 1),
        layers=tuple(layers),
        time_steps=config.model.time_steps,
        prior=Prior(weight, bias, share, config.model.rate_bits, config.model.sampler, levels),
        readout=ImageReadout(1.0 / float(decoder.gain), (config.data.image_channels, size, size), decoder.upscale),
        provenance={
            "name": config.name,
            "config": config_to_yaml(config),
            "weights_sha256": run.weights_hash,
            **({} if run.unfinished is None else {"unfinished": run.unfinished}),
            **{f"version {name}": text for name, text in versions().items()},
        },
        weight_bits=config.model.quantization.weight_bits if decoder.in_integers else None,  # type: ignore[union-attr]
    )


def _scale(rounding: Rounding | None) -> float | None:
    return rounding.scale if rounding is not None and rounding.active else None


def float_layer(layer: SpikingLayer) -> FloatLayer:
    """The layer, its norm as it is in evaluation."""
    norm = Norm(*(values.detach().numpy() for values in layer.norm.scale_and_shift()))
    return FloatLayer(synapse_of(layer.synapse, layer.lif.floats), norm)


def synapse_of(module: nn.Module, neuron: FloatLif) -> Synapse[FloatLif]:
    """The node of a torch module, float64, with the given neuron.

    Raises:
        UnsupportedLayerError: neither linear nor a (transposed) convolution.
    """
    if not isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        raise UnsupportedLayerError(f"{type(module).__name__}: expected Linear, Conv2d or ConvTranspose2d")
    bias = None if module.bias is None else _array(module.bias)
    if isinstance(module, nn.Linear):
        return Dense(_array(module.weight), bias, neuron)
    pairs = {
        key: (int(getattr(module, key)[0]), int(getattr(module, key)[1]))
        for key in ("stride", "padding", "dilation", "output_padding")
    }
    if isinstance(module, nn.ConvTranspose2d):
        return ConvTranspose(_array(module.weight), bias, neuron, **pairs, groups=module.groups)
    del pairs["output_padding"]
    return Conv(_array(module.weight), bias, neuron, **pairs, groups=module.groups)


def _array(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().double().numpy().copy()
