"""The whole autoencoder as one Lava graph: image, encoder, spike counter, sampler, decoder, image.

An image's window passes through the encoder while the image before it is drawn and decoded::

    time step        1 .. T                 neurons that the image drives, on image 0
    latents          D .. D + T - 1         D: layers of the encoder
    counter          hands over its count after step D + T - 1
    sampler          D + T .. D + 2 T - 1   starts the step after
"""

from __future__ import annotations

import numpy as np

from deploy.lava.graph import UNROLL_BELOW, Graph
from deploy.lava.inside.messages import CounterNode, CurrentsNode
from deploy.lava.rates import Rates
from deploy.plan import plan
from export.encoder import IntegerEncoder
from export.ir import INPUT_LABEL, Network
from sim.autoencoder import check_pair
from sim.sampler import initial_states

__all__ = ["autoencoder_graph"]


def autoencoder_graph(
    encoder: IntegerEncoder, decoder: Network, images: np.ndarray, seed: int = 0, *, unroll_below: int = UNROLL_BELOW
) -> Graph:
    """The graph for a :class:`deploy.lava.jobs.GraphJob`.

    Its traces are ``encoder3.*`` of the encoder's ``layer 3 (conv)``, ``sampled.s`` and ``decoder3.*``; ``encoder0.*``
    are of the neurons that the image drives.

    Args:
        encoder, decoder: of the same run.
        images: ``(N, C, H, W)`` in [-1, 1].
        seed: of the sampler.
        unroll_below: see :class:`deploy.lava.graph.Graph`.

    Raises:
        DataError: networks that do not belong together, or images that do not fit.
    """
    steps, bits = check_pair(encoder, decoder)
    coding, latents = encoder.coding, encoder.latents
    currents = coding.currents(images)
    states = initial_states(seed, np.arange(len(currents)), latents)
    rates = Rates(None, states, steps, bits, decoder.sampler)
    graph = Graph(len(currents), steps, sampler=rates, unroll_below=unroll_below)
    flat = graph.add_array("currents", currents.reshape(len(currents), -1))
    graph.nodes.append(CurrentsNode(1, flat))
    graph.add_neurons(coding.neuron, coding.shape, f"encoder {INPUT_LABEL}", 1)
    encoding = plan(encoder.network, graph.images, steps=steps)
    graph.add_layers(encoder.network, encoding, "encoder")
    counted = encoding.layers[-1].first
    graph.nodes.append(CounterNode(counted, (latents,), bits))
    decoding = plan(decoder, graph.images, steps=steps, start=counted + steps)
    graph.add_source(decoder, decoding.start, counted=True, name="sampled")
    graph.add_layers(decoder, decoding, "decoder")
    graph.total = decoding.total
    return graph
