"""Tables of ``esvae compare``: integer against float pictures, layers, real images, noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy.view.numbers import interval as interval_text
from deploy.view.numbers import percent
from deploy.view.prose import counted
from deploy.view.table import Table, count_column, interval_column, layer, number_column, share, words

__all__ = ["METRIC_TITLES", "comparison_tables", "metric_name"]

#: Metrics as they are called in print.
METRIC_TITLES = {
    "mse": "reconstruction MSE",
    "fad": "FAD",
    "fad_unbiased": "FAD, unbiased",
    "fad_posterior": "FAD, rates of training images",
    "kid": "KID",
    "fid": "FID",
    "inception_score": "Inception score",
    "nearest_code": "nearest training image, code",
    "nearest_pixels": "nearest training image, pixels",
}

#: What is told of a sampler beside the metrics.
_SAMPLER_TITLES = {
    "rate": "spikes a step and latent",
    "silent": "windows without a spike",
    "mse": "MSE, integer against float",
}
_QUALITY = {"MSE": "mse", "PSNR, dB": "psnr", "SSIM": "ssim"}


def metric_name(key: str) -> str:
    """``inception_score`` as ``Inception score``."""
    return METRIC_TITLES.get(key, key)


def comparison_tables(found: Mapping[str, Any]) -> list[Table]:
    """All tables that have something to say, of what ``esvae compare --json`` prints."""
    tables = [_quality(found["quality"])]
    if found["layers"]:
        tables.append(_drift(found["layers"]))
    attribution = found["attribution"]
    if attribution is not None and attribution["layers"]:
        tables.append(_attribution(attribution))
    distances = _distances(found)
    if distances.rows:
        tables.append(distances)
    samplers = found.get("samplers")  # which older records do not have
    if samplers is not None:
        tables.append(_samplers(samplers))
    return [*tables, *map(_noise, found["noise"])]


def _quality(quality: Mapping[str, Any]) -> Table:
    rows = []
    for name, key in _QUALITY.items():
        spread = quality[key]
        if spread is not None:
            ends = (spread[end] for end in ("mean", "p05", "median", "p95", "worst", "worst_image"))
            rows.append((name, *ends))
    alike = f", {quality['identical']:,} of them identical" if quality["identical"] else ""
    return Table(
        "quality",
        f"Integer against float pictures of the same latent spikes, {counted(quality['images'], 'image')}{alike}, "
        "pixels in [−1, 1]",
        (
            words("figure"),
            interval_column("mean [95 %]"),
            *map(number_column, ("5 %", "median", "95 %", "worst")),
            count_column("worst image", help="its number, from 0"),
        ),
        tuple(rows),
    )


def _drift(layers: list[Mapping[str, Any]]) -> Table:
    rows = []
    for one in layers:
        steps = one["membrane_by_step"] or [None]
        shares = (one[key] for key in ("mismatch", "missing", "extra", "agreement"))
        rates = (one[key] for key in ("rate_float", "rate_quantized", "rate_rms"))
        held = one["unmapped"] or one["layout"]
        rows.append((one["name"], held, *shares, *rates, one["membrane"], steps[0], steps[-1]))
    potential = "difference of the potentials after a step, root mean square, in thresholds"
    return Table(
        "drift",
        "How far each layer drifts from its float original",
        (
            layer(),
            words("held as", help="how the file stores the float layer"),
            share("spikes differ", 2, help="of images, steps and neurons"),
            share("missing", 2, help="only float fired"),
            share("extra", 2, help="only the integers fired"),
            share("agreement", help="spikes that both fired, of those that either fired"),
            number_column("rate, float", help="spikes a step and neuron"),
            number_column("rate, integer", help="spikes a step and neuron"),
            number_column("rate drift, r.m.s.", help="of the neurons' mean rates"),
            number_column("potential, r.m.s.", help=potential),
            number_column("at first step", help=potential),
            number_column("at last step", help=potential),
        ),
        tuple(rows),
        caption="Shares are of images, steps and neurons; potentials in thresholds, of the readout in units of the "
        "picture before tanh.",
    )


def _attribution(found: Mapping[str, Any]) -> Table:
    rows = tuple((one["name"], one["alone"], one["share"], one["upto"], one["added"]) for one in found["layers"])
    return Table(
        "attribution",
        "Which layer does the damage: image MSE with one layer quantized at a time, "
        f"{counted(found['images'], 'image')}; all together {interval_text(found['total'])}",
        (
            layer(),
            interval_column("alone integer, MSE [95 %]"),
            share("of the whole", help="over the MSE of the whole file"),
            interval_column("up to here integer, MSE [95 %]"),
            share("adds", help="to the MSE of the whole file"),
        ),
        rows,
        caption=_remainder(found["remainder"]),
    )


def _remainder(share_of_whole: float) -> str:
    """How far the layers' errors, each alone, are from adding up to the whole."""
    rest = (
        "errors partly cancel where all layers are integer" if share_of_whole < 0 else "the rest comes of them together"
    )
    return f"Alone, the layers' shares add up to {percent(1 - share_of_whole)} of the whole: {rest}."


def _distances(found: Mapping[str, Any]) -> Table:
    rows = []
    pair = found["reconstruction"]
    if pair is not None:
        sides = (pair[side] for side in ("float", "quantized", "difference"))
        rows.append((f"reconstruction MSE, {counted(pair['images'], 'test image')}", *sides, None, None))
    distribution = found["distribution"]
    for key, one in ({} if distribution is None else distribution["distances"]).items():
        better = "larger is better" if one["larger_is_better"] else "smaller is better"
        sides = (one[side] for side in ("float", "quantized", "difference", "floor", "bias"))
        rows.append((f"{metric_name(key)}, {better}", *sides))
    against = (
        "" if distribution is None else f", {counted(distribution['images'], 'image')} against {distribution['real']:,}"
    )
    return Table(
        "distances",
        f"Both decoders against real images of {found['data']}{against}",
        (
            words("metric"),
            interval_column("float [95 %]"),
            interval_column("integer [95 %]"),
            interval_column("integer − float [95 %]"),
            interval_column("floor [95 %]", help="of as many real training images: nothing can be asked to be better"),
            number_column("bias", help="by how much float, integer and floor are too large for the number of images"),
        ),
        tuple(rows),
    )


def _samplers(found: Mapping[str, Any]) -> Table:
    rows = []
    for key, one in found["figures"].items():
        sides = (one[side] for side in ("host", "chip", "difference", "floor"))
        rows.append((_SAMPLER_TITLES.get(key) or metric_name(key), *sides))
    return Table(
        "samplers",
        f"Integer pictures of spikes that the host draws (seed {found['host_seed']}), and that the chip draws "
        f"(seed {found['chip_seed']}), {counted(found['images'], 'image')} each",
        (
            words("figure"),
            interval_column("host [95 %]"),
            interval_column("chip [95 %]"),
            interval_column("chip − host [95 %]"),
            interval_column("floor [95 %]", help="of as many real training images"),
        ),
        tuple(rows),
    )


def _noise(curve: Mapping[str, Any]) -> Table:
    analogue = curve["analogue"] or [None] * len(curve["levels"])
    rows = tuple(
        (level, pair["float"], pair["quantized"], pair["difference"], real)
        for level, pair, real in zip(curve["levels"], curve["loss"], analogue, strict=True)
    )
    columns = (
        number_column("deviation", help="standard deviation of the noise"),
        interval_column("float [95 %]"),
        interval_column("integer [95 %]"),
        interval_column("integer − float [95 %]"),
        interval_column(
            "float, real numbers [95 %]", help="float that takes the noisy spikes as they are; no chip does"
        ),
    )
    return Table(
        f"noise_{curve['kind']}",
        f"Reconstruction MSE with Gaussian noise on the {curve['kind']}, {counted(curve['images'], 'test image')}",
        columns if curve["analogue"] else columns[:-1],
        rows if curve["analogue"] else tuple(row[:-1] for row in rows),
    )
