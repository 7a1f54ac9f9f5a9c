"""Fits a shipped generator's mixture and gain anew, its encoder and decoder as they are.

python scripts/refit_prior.py NAME [DATA_ROOT]

What follows a training, alone: for weights that were trained before what fits the mixture was mended.
"""

from __future__ import annotations

import sys
import tempfile

from embed_run import main as embed

from esvae.data import load_images
from esvae.run import load_run, save_run
from esvae.training import fit_prior
from esvae.training.finish import choose_gain


def main(name: str, data_root: str | None = None) -> None:
    run = load_run(f"pretrained:{name}")
    config = run.config
    training = load_images(config.data, root=data_root).train
    training = training.head(len(training) - config.train.validation_images)
    record = dict(run.record)
    fit_prior(run.model, training.head(config.model.prior.images))
    if config.train.finish is not None and config.train.finish.gain:
        record["finish"] = {**record["finish"], "gain": choose_gain(run.model, training)}
    with tempfile.TemporaryDirectory() as folder:
        save_run(folder, run.model, record)
        embed(folder, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
