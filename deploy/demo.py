"""The whole way in one call: train, export, simulate, verify, and a table and pictures of what came out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.backends import BACKENDS, Progress
from deploy.pair import pair_of
from deploy.stages import Stopwatch, within
from deploy.verify import Verdict, verify
from deploy.view.prose import training_line
from esvae.config import Config
from esvae.data import load_images
from esvae.pictures import save_comparison, save_grid
from esvae.training import Machine, TrainingCallbacks, evaluate_mse, train
from export.pipeline import export_run
from sim.counts.ops import LayerCounts, count
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
    watch = Stopwatch()

    def shown(stage: str) -> Progress:
        return within(None if progress is None else progress(stage), 0.0, 1.0)

    def begin(stage: str) -> Progress:
        watch.start(stage)
        return shown(stage)

    report = begin("train")

    def follow(stage: str) -> None:
        nonlocal report
        report = shown(stage)

    run = train(
        config,
        out / "run",
        resume=True,
        machine=Machine(max_steps=max_steps),
        callbacks=TrainingCallbacks(
            lambda step, steps, mse, epoch: report(step / steps, training_line(mse, epoch)), follow
        ),
    )
    images = load_images(config.data)
    test_mse = evaluate_mse(run.model, images.test)

    begin("export")
    exported = export_run(run, out / "decoder.net")
    network = exported.network

    begin("simulate")
    latents = draw_latents(network, config.train.seed, np.arange(_SHOWN_IMAGES))
    drawn = pair_of(run.model.decoder, Engine(network), latents, "spikes")
    counts = list(count(network, [drawn.activity]).layers)
    save_grid(drawn.integers, out / "images.png")
    held_out = images.test.head(_SHOWN_IMAGES).tensor().numpy()
    save_comparison(held_out, drawn.floats, drawn.integers, out / "comparison.png")

    against, skipped = _available()
    report = begin("verify")
    verdict = verify(exported.path, _VERIFIED_IMAGES, seed=config.train.seed, against=against, progress=report)
    return DemoResult(
        training_mse=run.record["epochs"][-1]["reconstruction_mse"],
        test_mse=test_mse,
        float_integer_mse=float(np.mean((drawn.floats - drawn.integers) ** 2)),
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
