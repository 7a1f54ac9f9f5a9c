"""One point from beginning to end: export, compare, count, cost. What every worker runs, wherever it is."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

from deploy.cost import Cost, cost_of, counted_input
from deploy.entering import InputOptions
from deploy.sweep.grid import LEARNED
from deploy.sweep.quality import image_quality, reconstruction_quality
from deploy.sweep.types import Done, Failed, Result, SweepProtocol, Task
from deploy.sweep.window import readout_gain, with_window
from esvae.data import ImageSplits, load_images
from esvae.errors import EsvaeError
from esvae.machine.threads import threads
from esvae.metrics.features import FeatureNet, features_of
from esvae.run import Run, load_run
from export.frontends import from_run
from export.ir import Network
from export.netx.write import netx_image
from export.pipeline import DEFAULT_CALIBRATION, Options, compiled
from sim.fit.chips import CHIPS
from sim.fit.mapping import map_network

__all__ = ["AGAINST_FLOAT", "attempt", "evaluate_point"]

#: Figures that a fine-tuned point does not have: its run's own decoder computes in integers.
AGAINST_FLOAT = ("image_mse", "image_ssim", "quantization_mse", "reconstruction_float")


def attempt(task: Task) -> Result:
    """:func:`evaluate_point`, where every error becomes a line: one bad point takes no other with it."""
    try:
        with threads(task.threads):
            return evaluate_point(task)
    except EsvaeError as error:
        return Failed(" ".join(str(error).split()))
    except Exception as error:
        reason = " ".join(str(error).split())
        return Failed(f"unexpected {type(error).__name__}: {reason}")


def evaluate_point(task: Task) -> Done:
    """Exports a point, compares its images with float's, and costs it.

    Raises:
        EsvaeError: the run or its data cannot be read, or the point cannot be exported.
    """
    started = time.perf_counter()
    point, protocol = task.point, task.protocol
    trained = load_run(task.run)
    shortened = with_window(trained, point.steps)
    network = from_run(shortened)
    trained_steps = trained.config.model.time_steps
    if point.steps != trained_steps:
        gain = readout_gain(trained.model.decoder.readout_lif.floats.keep, trained_steps, point.steps)
        window = f"trained with {trained_steps} steps, exported with {point.steps}: readout times {gain:.6g}"
        network = replace(network, provenance={**network.provenance, "window": window})
    # Learned scales are kept by any calibration.
    calibration = DEFAULT_CALIBRATION if point.calibration == LEARNED else point.calibration
    exported = compiled(network, Options(point.bits, point.lowering, calibration))  # type: ignore[arg-type]
    content = netx_image(exported.network, stock=exported.lowering != "native")
    quality = _quality(trained, shortened, exported.network, protocol)
    entering = counted_input(exported.network, InputOptions(protocol.images, protocol.seed))
    cost = cost_of(entering, protocol.profiles)
    outcome = {
        "file": {
            "bytes": len(content),
            "content_hash": exported.network.content_hash(),
            "lowering": exported.lowering,
            "zero_weights": [entry.zeros for entry in exported.quantization],
        },
        "quality": quality,
        **_costs(exported.network, cost),
        "seconds": round(time.perf_counter() - started, 3),
    }
    return Done(outcome, content)


def _quality(trained: Run, shortened: Run, network: Network, protocol: SweepProtocol) -> dict[str, Any]:
    images: ImageSplits | None = None
    features: FeatureNet | None = None
    data = trained.config.data
    if protocol.metrics:
        images = _images(data.model_dump_json(), protocol.data_root)
    if "fad" in protocol.metrics:
        features = features_of(data, protocol.data_root)
    found = image_quality(trained, shortened, network, protocol.images, protocol.seed, features=features, real=images)
    if images is not None and "reconstruction" in protocol.metrics:
        shown = images.test.head(protocol.test_images).tensor().numpy()
        found.update(reconstruction_quality(trained, shortened, network, shown, protocol.seed))
    if trained.model.decoder.in_integers:
        found = {name: estimate for name, estimate in found.items() if name not in AGAINST_FLOAT}
    return {name: asdict(estimate) for name, estimate in found.items()}


def _costs(network: Network, cost: Cost) -> dict[str, Any]:
    """Exact counts an image; energy by profile and cores by chip, both estimates."""
    layers = cost.counts.layers
    energy = {
        one.profile: {
            "label": one.label,
            "basis": one.basis,
            **{
                f"joules{end}": getattr(one.energy, at)
                for end, at in (("", "value"), ("_low", "low"), ("_high", "high"))
            },
            "seconds": None if one.interval is None else one.interval.value,
        }
        for one in cost.estimates
    }
    cores = {}
    for name, chip in CHIPS.items():
        mapping = map_network(network, chip)
        cores[name] = {
            "label": "estimate",
            "cores": None if mapping.problems else mapping.cores,
            "chips": mapping.chips,
            "fits": mapping.fits,
            "problems": list(mapping.problems),
        }
    counts = {
        "images": cost.counts.images,
        "synops": sum(layer.synops for layer in layers),
        "updates": sum(layer.updates for layer in layers),
        "spikes": sum(layer.spikes for layer in layers),
    }
    return {"counts": counts, "energy": energy, "cores": cores}


@lru_cache(maxsize=1)
def _images(data: str, root: str | None) -> ImageSplits:
    """The data set, read once in each process."""
    from esvae.config import DataConfig

    return load_images(DataConfig.model_validate_json(data), root)
