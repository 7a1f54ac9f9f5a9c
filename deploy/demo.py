"""The whole way in one call: train, export, simulate, verify, and a table and pictures of what came out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from deploy.backends import BACKENDS, Progress
from deploy.verify import Verdict, verify
from esvae.config import Config
from esvae.data import load_images
from esvae.pictures import save_comparison, save_grid
from esvae.training import evaluate_mse, train
from export.pipeline import export_run
from sim.counts.ops import LayerCounts, count
from sim.readout import images_from_potentials
from sim.sampler import draw_latents
from sim.twin.engine import Engine

__all__ = ["DemoResult", "run_demo"]

_SHOWN_IMAGES = 64
_VERIFIED_IMAGES = 4


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        training_mse: reconstruction MSE over the last training epoch, pixels in [-1, 1].
        test_mse: the same on held-out images.
        float_integer_mse: mean squared difference between both decoders' images of the same latent spikes.
        file_bytes: size of the ``.net`` file.
        counts: spikes and synaptic operations by layer, mean over the drawn images.
        verdict: of :func:`deploy.verify.verify`.
        skipped: why a backend was left out, or None.
        seconds: wall-clock time by stage.
        files: what was written, by what it is.
    """

    training_mse: float
    test_mse: float
    float_integer_mse: float
    file_bytes: int
    counts: list[LayerCounts]
    verdict: Verdict
    skipped: str | None
    seconds: dict[str, float]
    files: dict[str, str]


def run_demo(
    config: Config,
    out: str | os.PathLike[str],
    *,
    max_steps: int | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> DemoResult:
    """Runs the whole chain and writes everything below ``out``.

    Args:
        config: what to train.
        out: folder for the run, the ``.net`` file and the pictures.
        max_steps: cut the training short after so many steps.
        progress: called with each stage's name, gives the callback that shows how far the stage is.

    Raises:
        EsvaeError: any stage failed; what the stages before it wrote is whole.
    """
    out = Path(out)
    watch = _Watch(progress)

    report = watch.start("train")
    run = train(
        config,
        out / "run",
        max_steps=max_steps,
        resume=True,
        progress=lambda step, steps, mse: report(step / steps, f"reconstruction MSE {mse:.4f}"),
    )
    images = load_images(config.data)
    test_mse = evaluate_mse(run.model, images.test)

    watch.start("export")
    exported = export_run(run, out / "decoder.net")
    network = exported.network

    watch.start("simulate")
    latents = draw_latents(network, config.train.seed, np.arange(_SHOWN_IMAGES))
    activity = list(Engine(network).run(latents))
    integer = images_from_potentials(network, np.concatenate([layers[-1].v_end for layers in activity]))
    with torch.inference_mode():
        raster = torch.from_numpy(latents).float().transpose(0, 1)
        from_float = run.model.decoder(raster).numpy()
    counts = list(count(network, activity).layers)
    save_grid(integer, out / "images.png")
    save_comparison(images.test.head(_SHOWN_IMAGES).tensor().numpy(), from_float, integer, out / "comparison.png")

    against, skipped = _available()
    report = watch.start("verify")
    verdict = verify(exported.path, _VERIFIED_IMAGES, seed=config.train.seed, against=against, progress=report)
    return DemoResult(
        training_mse=run.record["epochs"][-1]["reconstruction_mse"],
        test_mse=test_mse,
        float_integer_mse=float(np.mean((from_float - integer) ** 2)),
        file_bytes=exported.path.stat().st_size,
        counts=counts,
        verdict=verdict,
        skipped=skipped,
        seconds=watch.stop(),
        files={
            "run": str(out / "run"),
            "network": str(exported.path),
            "images": str(out / "images.png"),
            "comparison": str(out / "comparison.png"),
        },
    )


def _available() -> tuple[tuple[str, ...], str | None]:
    missing = BACKENDS["lava"].missing()
    return ("reference",) if missing else ("reference", "lava"), missing


class _Watch:
    """Names the stages for the progress display and times them."""

    def __init__(self, progress: Callable[[str], Progress] | None) -> None:
        self._progress, self._seconds = progress, dict[str, float]()
        self._stage, self._since = "", 0.0

    def start(self, stage: str) -> Progress:
        self.stop()
        self._stage, self._since = stage, time.perf_counter()
        return (lambda share, text: None) if self._progress is None else self._progress(stage)

    def stop(self) -> dict[str, float]:
        if self._stage:
            self._seconds[self._stage] = round(time.perf_counter() - self._since, 2)
        return self._seconds
