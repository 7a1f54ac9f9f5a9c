"""Writes a :class:`~export.ir.Network` as the HDF5 file that lava-dl's ``netx.hdf5.Network`` loads.

The ``layer/<i>`` groups are as netx reads them. What a generator needs beyond that lies in the sibling group
``esvae``, which netx ignores, so that one file is enough to draw images. See ``docs/netx_format.md``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np

from esvae.machine.arguments import path_argument
from esvae.machine.files import write_bytes
from esvae.machine.hdf5 import hdf5_image
from export.ir import (
    INTEGRATOR,
    CircuitPrior,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Network,
    Neuron,
    RecurrentDense,
    Synapse,
)
from export.ir.circuit import is_chained, source_network, whole_network
from export.ir.labels import FIRST_GROUP
from export.netx.circuit import CIRCUIT, write_layout
from export.netx.layout import bias_to_file, delay_to_file
from export.netx.neurons import neuron_to_file, type_to_file
from export.netx.rules import check_loadable

__all__ = ["FORMAT_VERSION", "GROUP", "netx_image", "write_netx"]

#: Our group beside netx's ``layer``, and the version of what it holds.
GROUP = "esvae"
FORMAT_VERSION = 1

#: Elements above which weights are stored in compressed chunks (an unrolled layer is mostly zeros).
_COMPRESS_ABOVE = 1 << 14


def write_netx(network: Network, target: str | os.PathLike[str], *, stock: bool = True) -> Path:
    """Writes ``network`` to ``target``, whole or not at all; the same network gives the same bytes.

    Args:
        network: an integer network.
        target: the ``.net`` file.
        stock: refuse what stock netx would not load exactly; without it, transposed convolutions are written as
            ``convT``, as slayer does, which this project's native loader takes.

    Raises:
        ConfigError: a target that is no name of a file.
        HardwareRangeError, UnsupportedLayerError: stock netx would not load it exactly.
        EsvaeError: the file cannot be written.
    """
    path = path_argument(target, "target", "a name that ends in .net")
    write_bytes(path, netx_image(network, stock=stock))
    return path


def netx_image(network: Network, *, stock: bool = True) -> bytes:
    """The bytes of such a file.

    Args:
        network, stock: as for :func:`write_netx`.

    Raises:
        HardwareRangeError, UnsupportedLayerError: as :func:`write_netx`.
    """
    chain = whole_network(network) if is_chained(network) else network
    if stock:
        check_loadable(chain)

    def fill(file: h5py.File) -> None:
        layers = file.create_group("layer")
        _write_input(layers.create_group("0"), chain)
        _write_layers(layers, chain)
        _write_generator(file.create_group(GROUP), network)

    return hdf5_image(fill)


def _write_layers(layers: h5py.Group, network: Network) -> None:
    for index, (layer, shape) in enumerate(zip(network.layers, network.shapes, strict=True), start=FIRST_GROUP):
        group = layers.create_group(str(index))
        group["shape"] = np.array(shape, np.int64)
        type_to_file(group, layer.kind)
        if not isinstance(layer, Flatten):
            _write_synapse(group, layer)
        if isinstance(layer, Conv | ConvTranspose):
            transposed = isinstance(layer, ConvTranspose)
            for key in ("stride", "padding", "dilation", *(["output_padding"] if transposed else [])):
                group[key] = np.array(getattr(layer, key), np.int64)
            group["groups"] = np.int64(layer.groups)


def _write_input(group: h5py.Group, network: Network) -> None:
    type_to_file(group, "input")
    group["shape"] = np.array(network.input_shape, np.int64)
    if network.input_neurons is not None:
        group["weight"] = np.int64(network.input_neurons.weight)
        group["bias"] = np.int64(network.input_neurons.bias)
        neuron_to_file(group, network.input_neurons.neuron)


def _write_synapse(group: h5py.Group, layer: Synapse[Neuron]) -> None:
    _write_weight(group, "weight", layer.weight)
    if isinstance(layer, RecurrentDense):
        _write_weight(group, "weight_rec", layer.recurrent)
    if layer.bias is not None:
        group["bias"] = np.ascontiguousarray(bias_to_file(layer.bias.astype(np.int16)))
    if isinstance(layer, Dense) and layer.delay is not None:
        group["delay"] = delay_to_file(layer.delay.astype(np.int64))
    # netx puts an integrator where it finds no neuron.
    if not isinstance(layer, Dense | RecurrentDense) or layer.neuron != INTEGRATOR:
        neuron_to_file(group, layer.neuron)


def _write_weight(group: h5py.Group, key: str, weight: np.ndarray) -> None:
    options = {"chunks": True, "compression": "gzip", "shuffle": True} if weight.size > _COMPRESS_ABOVE else {}
    group.create_dataset(key, data=weight.astype(np.int16, copy=False), **options)


def _write_generator(group: h5py.Group, network: Network) -> None:
    group["format_version"] = np.int64(FORMAT_VERSION)
    group["content_hash"] = network.content_hash()
    group["provenance"] = json.dumps(dict(network.provenance), sort_keys=True)
    if network.time_steps is not None:
        group["time_steps"] = np.int64(network.time_steps)
    if isinstance(network.prior, CircuitPrior):
        circuit = group.create_group(CIRCUIT)
        write_layout(circuit, network.prior.layout)
        if not is_chained(network):
            _write_layers(circuit.create_group("layer"), source_network(network.prior))
    elif network.prior is not None:
        prior = group.create_group("prior")
        prior["weight"] = network.prior.weight.astype(np.float32)
        prior["bias"] = network.prior.bias.astype(np.float32)
        prior["share"] = network.prior.share.astype(np.float32)
        prior["rate_bits"] = np.int64(network.prior.rate_bits)
        if network.prior.sampler != "poisson":  # what older versions know is written as they wrote it
            prior["sampler"] = network.prior.sampler
        if network.prior.levels is not None:
            prior["levels"] = np.int64(network.prior.levels)
    if network.readout is not None:
        readout = group.create_group("readout")
        readout["unit"] = np.float64(network.readout.unit)
        readout["image_shape"] = np.array(network.readout.image_shape, np.int64)
        readout["upscale"] = np.int64(network.readout.upscale)
    if network.spike_readout is not None:
        spikes = group.create_group("spike_readout")
        spikes["drives"] = np.int64(network.spike_readout.drives)
        spikes["levels"] = network.spike_readout.levels.astype(np.int32)
