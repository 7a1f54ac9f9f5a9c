"""What a comparison of a run's float decoder with its quantized file says: frozen, and JSON as it stands.

These docstrings are the documentation of ``esvae compare --json``: an object with the fields of :class:`Comparison`,
nested as here, tuples as lists. Fields are added, never renamed. Pixels are in [-1, 1] everywhere. "Float" is the run's
own decoder in PyTorch, "quantized" the integers of the file; both get the same latent spikes, image by image. Every
interval is of 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from deploy.compare.histograms import LayerHistogram
from esvae.metrics.uncertainty import Estimate

__all__ = [
    "Attribution",
    "Comparison",
    "CrossCheck",
    "Distance",
    "Distribution",
    "Divergence",
    "Estimate",
    "ImageQuality",
    "ImageSpread",
    "LayerDrift",
    "LayerHistogram",
    "LayerShare",
    "Location",
    "NoiseCurve",
    "PairedFigure",
    "SamplerComparison",
    "SamplerFigure",
]

_Number: TypeAlias = float  # where a class has a field of the name float


@dataclass(frozen=True)
class ImageSpread:
    """A figure over images.

    Attributes:
        mean: with Student's interval.
        p05, median, p95: quantiles over the images.
        worst: the largest MSE, the smallest PSNR or SSIM.
        worst_image: its number.
    """

    mean: Estimate
    p05: float
    median: float
    p95: float
    worst: float
    worst_image: int


@dataclass(frozen=True)
class ImageQuality:
    """The quantized decoder's images beside the float decoder's of the same latent spikes.

    Attributes:
        images: how many.
        mse: mean squared difference of an image's pixels.
        psnr: ``10 log10(4 / mse)`` in dB, of the images that are not identical; None where all are.
        ssim: structural similarity (Wang et al., 2004), 1 for identical images.
        identical: images without any difference; their PSNR is infinite.
        per_image: ``mse``, ``psnr`` and ``ssim`` of each image, by number; psnr null where identical.
    """

    images: int
    mse: ImageSpread
    psnr: ImageSpread | None
    ssim: ImageSpread
    identical: int
    per_image: dict[str, tuple[float | None, ...]] = field(repr=False)


@dataclass(frozen=True)
class LayerDrift:
    """How one layer of the file departs from the float layer that it was made of, over images, steps and neurons.

    Attributes:
        layer: its number among the layers with neurons, from 0.
        name: ``layer 1 (conv)``, as the file calls it; ``float layer 1 (conv)``, by the float decoder's count, where
            the file has no such layer.
        shape: ``(C, H, W)`` of the float layer.
        layout: how the file holds it: ``same``, ``flat`` (unrolled) or ``cells 2x2`` (on a coarse grid); None where
            it cannot be told, with the reason in ``unmapped`` and all figures below None or empty.
        unmapped: why the layer could not be compared, or None.
        mismatch: share of (image, step, neuron) whose spikes differ; None of the readout, which has no spikes.
        missing, extra: of these, the shares where only float, or only the file, fired; they add up to ``mismatch``.
        agreement: spikes that both fired over spikes that either fired (Jaccard); None without spikes.
        rate_float, rate_quantized: spikes a step and neuron.
        rate_rms: root mean square over neurons of the difference of their mean rates.
        rate_worst: the largest such difference, signed, quantized minus float.
        rate_worst_neuron: ``(C, H, W)`` of it.
        mismatch_by_step: ``mismatch`` at each step.
        membrane_by_step: root mean square difference of the membrane potentials after each step, in units of the
            layer's threshold; of the readout in units of the picture before tanh; empty where the file's
            threshold is 0.
        membrane: the same over all steps, or None.
    """

    layer: int
    name: str
    shape: tuple[int, ...]
    layout: str | None
    unmapped: str | None = None
    mismatch: float | None = None
    missing: float | None = None
    extra: float | None = None
    agreement: float | None = None
    rate_float: float | None = None
    rate_quantized: float | None = None
    rate_rms: float | None = None
    rate_worst: float | None = None
    rate_worst_neuron: tuple[int, ...] | None = None
    mismatch_by_step: tuple[float, ...] = ()
    membrane_by_step: tuple[float, ...] = ()
    membrane: float | None = None


@dataclass(frozen=True)
class Location:
    """A spike on which both sides part.

    Attributes:
        image, step, layer: where, from 0.
        neuron: ``(C, H, W)`` of the float layer.
        float_fired: which side fired; the other did not.
        float_potential: the float neuron's potential before the step's reset, in units of its threshold.
        name: the layer's label, as in :class:`LayerDrift`, where ``layer`` is its place among those with neurons.
    """

    image: int
    step: int
    layer: int
    neuron: tuple[int, ...]
    float_fired: bool
    float_potential: float
    name: str


@dataclass(frozen=True)
class Divergence:
    """The first spike of each image on which both sides part: the earliest step, in it the first layer, in it the
    first neuron.

    Attributes:
        images: how many were compared.
        never: images in which all spikes are equal.
        by_step: images that part first at each step.
        by_layer: images that part first in each layer with spikes.
        earliest: over all images: the earliest step, in it the first layer, then the lowest image; None without one.
        first: of the first few images that part.
    """

    images: int
    never: int
    by_step: tuple[int, ...]
    by_layer: tuple[int, ...]
    earliest: Location | None
    first: tuple[Location, ...]


@dataclass(frozen=True)
class PairedFigure:
    """A figure of both decoders on the same images and spikes.

    Attributes:
        float, quantized: the figure.
        difference: quantized minus float, its interval from the pairs, so far narrower than those of the two.
        images: how many pairs.
    """

    float: Estimate
    quantized: Estimate
    difference: Estimate
    images: int


@dataclass(frozen=True)
class Distance:
    """How far generated images are from real ones.

    Attributes:
        float, quantized: of the samples of each decoder, against the test images.
        difference: quantized minus float, its interval from pairs; ``low`` and ``high`` None where there is none.
        floor: of as many training images against the same test images: what a perfect generator would get; None
            where it was not computed.
        bias: by how much ``float``, ``quantized`` and ``floor`` are too large for the number of images, an estimate;
            0 of unbiased figures, None where it is not known. It cancels in ``difference`` but for its second order.
        larger_is_better: of precision, recall and Inception score.
    """

    float: Estimate
    quantized: Estimate
    difference: Estimate
    floor: Estimate | None = None
    bias: _Number | None = None
    larger_is_better: bool = False


@dataclass(frozen=True)
class Distribution:
    """Generated images as a whole against the data set's real ones.

    Attributes:
        images: generated by each decoder, from the same latent spikes.
        real: test images that they are compared with.
        protocol: of the FAD autoencoder's batch norm.
        distances: by name: ``fad``, ``kid``, ``precision``, ``recall``, ``fid``, ``inception_score``.
        missing: what could not be computed, with the reason.
        notes: what to keep in mind, such as too few images and the bias that they bring.
    """

    images: int
    real: int
    protocol: str
    distances: dict[str, Distance] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerShare:
    """One layer's part of the damage.

    Attributes:
        layer, name: as in :class:`LayerDrift`.
        alone: image MSE against float where only this layer computes with the file's integers.
        share: ``alone`` over the MSE of the whole file.
        upto: image MSE where this layer and all before it are integer, those behind it float.
        added: what this layer adds to ``upto``, over the MSE of the whole file; these add up to 1.
    """

    layer: int
    name: str
    alone: Estimate
    share: float
    upto: Estimate
    added: float


@dataclass(frozen=True)
class Attribution:
    """Which layer does the damage.

    Attributes:
        images: how many it was measured on.
        total: image MSE of the whole file against float, on these images.
        layers: each layer's part; empty, with the reason in ``refused``, where a layer could not be compared.
        remainder: ``1 - sum of the shares``: what only comes, or cancels, when all layers are integer together.
        refused: why there is none, or None.
    """

    images: int
    total: Estimate
    layers: tuple[LayerShare, ...]
    remainder: float
    refused: str | None = None


@dataclass(frozen=True)
class NoiseCurve:
    """Reconstruction loss against the strength of Gaussian noise, the same noise for both decoders.

    Attributes:
        kind: ``input``: noise on the image that the encoder sees; ``latent``: noise ``e`` on the latent spikes ``z``,
            which both decoders take as spikes where ``z + e > 1/2``, as the chip has no other.
        images: test images.
        levels: standard deviations; of pixels in [-1, 1], or of spikes 0 and 1.
        loss: MSE against the clean image at each level, of both decoders.
        analogue: with ``latent``, the float decoder's MSE where it takes ``z + e`` as real numbers, which no chip
            does; empty otherwise.
    """

    kind: str
    images: int
    levels: tuple[float, ...]
    loss: tuple[PairedFigure, ...]
    analogue: tuple[Estimate, ...] = ()


@dataclass(frozen=True)
class CrossCheck:
    """The first images on another backend.

    Attributes:
        backend: ``lava``, ``onnx`` or ``reference``.
        images: how many.
        equal: whether it computed the twin's integers; None where it was skipped.
        difference: the first place where they differ, or None.
        skipped: why it did not run, or None.
        seconds: wall clock.
    """

    backend: str
    images: int
    equal: bool | None
    difference: str | None = None
    skipped: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class SamplerFigure:
    """A figure of the integer decoder's images, drawn by the host's sampler and by the chip.

    Attributes:
        host, chip: the figure.
        difference: chip minus host.
        floor, bias, larger_is_better: as in :class:`Distance`; None of a figure that is not one.
    """

    host: Estimate
    chip: Estimate
    difference: Estimate
    floor: Estimate | None = None
    bias: float | None = None
    larger_is_better: bool | None = None


@dataclass(frozen=True)
class SamplerComparison:
    """A generator that draws on the chip beside the host's sampler, which draws from the run's own prior.

    Attributes:
        images: as many of each.
        host_seed, chip_seed: that each drew from.
        figures: by name: ``rate``, spikes a step and latent neuron; ``silent``, share of windows in which a latent
            neuron never fires; ``mse``, of the integer images against the float ones of the same spikes; and the
            distances of :class:`Distribution` where these were computed.
    """

    images: int
    host_seed: int
    chip_seed: int
    figures: dict[str, SamplerFigure]


@dataclass(frozen=True)
class Comparison:
    """All of it.

    Attributes:
        run, file: as they were named.
        weights_hash: SHA-256 of the run's weights. content_hash: of what the file computes.
        belongs: whether the file says that it was made from these weights; False only where that was forced.
        images, steps, seed: of the latent spikes from the prior.
        data: the data set, or None where no real images were used.
        quality, layers, divergence: on the prior's latent spikes.
        weights, potentials: how those of each layer are distributed; the potentials of the first chunk of images.
        reconstruction: MSE of test images through encoder, sampled counts and each decoder; None where not asked for.
        distribution, attribution, noise: None or empty where not asked for.
        samplers: of a file that draws on the chip; None of others.
        cross: other backends on the first images.
        notes: what was left out, and why.
        seconds: wall clock by part.
    """

    run: str
    file: str
    weights_hash: str
    content_hash: str
    belongs: bool
    images: int
    steps: int
    seed: int
    data: str | None
    quality: ImageQuality
    layers: tuple[LayerDrift, ...]
    divergence: Divergence | None
    weights: tuple[LayerHistogram, ...] = ()
    potentials: tuple[LayerHistogram, ...] = ()
    reconstruction: PairedFigure | None = None
    distribution: Distribution | None = None
    attribution: Attribution | None = None
    samplers: SamplerComparison | None = None
    noise: tuple[NoiseCurve, ...] = ()
    cross: tuple[CrossCheck, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        mse = self.quality.mse.mean.value
        return f"Comparison({self.file!r} of {self.run!r}: {self.images} images, MSE {mse:.3g})"
