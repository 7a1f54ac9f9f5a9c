"""Which layer does the damage: one layer at a time with the file's integers, the others in float.

Layers hand on nothing but spikes, so a single layer of the file runs as it is, rounding of its states included, on the
float decoder's spikes, and the float layers behind it go on with what it fired.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deploy.compare.float_layers import FloatDecoder
from deploy.compare.images import image_mse
from deploy.compare.layers import layouts_of
from deploy.compare.layout import Layout
from deploy.compare.types import Attribution, LayerShare
from deploy.pair import ImagePairs, image_pairs, in_chunks
from esvae.arrays import Integer
from esvae.metrics.uncertainty import Estimate, mean_estimate
from export.ir import Network
from export.ir.labels import names_in
from sim.readout import images_from_potentials
from sim.twin.engine import Engine, LayerActivity

__all__ = ["attribute"]

_CHUNK = 32  # images at a time, all of whose spikes are held


def attribute(
    decoder: FloatDecoder,
    network: Network,
    latents: Integer[np.ndarray, "images steps latents"],
    progress: Callable[[float], None] | None = None,
) -> Attribution:
    """Measures each layer's part of the image MSE against float.

    Args:
        decoder: the float side.
        network: the file.
        latents: spikes ``(images, steps, latents)``, of at least 2 images.
        progress: called with the share done.
    """
    layouts = [layout for layout in layouts_of(decoder, network) if isinstance(layout, Layout)]
    if len(layouts) < len(decoder.shapes):
        reason = next(str(x) for x in layouts_of(decoder, network) if isinstance(x, str))
        return Attribution(len(latents), _total(decoder, network, latents), (), 0.0, refused=reason)
    engines = [
        Engine(Network(before, (layer,), time_steps=network.time_steps)) for layer, before, _ in network.synapses()
    ]
    parts = []
    for pairs in image_pairs(decoder.decoder, Engine(network), in_chunks(latents, _CHUNK), "spikes"):
        parts.append(_chunk(decoder, network, engines, layouts, pairs))
        if progress is not None:
            progress((pairs.first + len(pairs.latents)) / len(latents))
    alone, upto = (np.concatenate([part[side] for part in parts], axis=1) for side in (0, 1))
    total = float(upto[-1].mean())
    share = alone.mean(1) / total if total else np.zeros(len(alone))
    added = np.diff(upto.mean(1), prepend=0.0) / total if total else np.zeros(len(alone))
    layers = tuple(
        LayerShare(k, name, mean_estimate(alone[k]), float(share[k]), mean_estimate(upto[k]), float(added[k]))
        for k, name in enumerate(names_in(decoder.names, network.labels))
    )
    remainder = 1 - float(share.sum()) if total else 0.0
    return Attribution(len(latents), mean_estimate(upto[-1]), layers, remainder)


def _total(decoder: FloatDecoder, network: Network, latents: np.ndarray) -> Estimate:
    """Image MSE of the whole file, which needs no layer to be told apart."""
    pairs = image_pairs(decoder.decoder, Engine(network), in_chunks(latents, _CHUNK))
    return mean_estimate(np.concatenate([image_mse(pair.integers, pair.floats) for pair in pairs]))


def _chunk(
    decoder: FloatDecoder, network: Network, engines: list[Engine], layouts: list[Layout], pairs: ImagePairs
) -> tuple[np.ndarray, np.ndarray]:
    """Image MSE of each layer alone, and of all up to it: ``(layers, images)`` twice."""
    latents = pairs.latents
    images, steps = latents.shape[:2]
    floats = [spikes.unflatten(0, (steps, images)).transpose(0, 1).byte().numpy() for spikes in decoder.hidden(latents)]
    last = len(engines) - 1
    alone, upto = np.empty((len(engines), images)), np.empty((len(engines), images))
    for k, engine in enumerate(engines):
        entering = latents if k == 0 else layouts[k - 1].held_as(floats[k - 1])
        (found,) = engine.run(entering.reshape(images, steps, *engine.network.input_shape), chunk=images)
        if k == last:
            drawn = [images_from_potentials(network, found[0].v_end), pairs.integers]
        else:
            drawn = [_onward(decoder, k, layouts[k], activity) for activity in (found[0], pairs.activity[k])]
        alone[k], upto[k] = (image_mse(each, pairs.floats) for each in drawn)
    return alone, upto


def _onward(decoder: FloatDecoder, layer: int, layout: Layout, activity: LayerActivity) -> np.ndarray:
    """Images that the float layers behind make of what an integer layer fired."""
    fired = activity.spikes.transpose(0, 1).byte().cpu().numpy()
    return decoder.onward(layer, layout.restored(fired))
