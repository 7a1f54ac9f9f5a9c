"""Decoders of other shapes, neurons and losses, each trained equally briefly on the same code, and what they cost.

    python -m benchmarks.decoders [--run pretrained:fashion_mnist] [--steps 900] [--only NAME ...] [--data-root DIR]
        [--features FILE]

The encoder and the prior are the run's. Each decoder begins anew and learns on rates that the encoder gave once
(``train.finish``), then is rounded to 8 bits and judged in integers: reconstruction MSE of 5,000 test images, FAD of
as many drawn from the prior and from the rates of training images, exact operations and an estimate of the energy.
Rows that are there are kept. FAD is measured in the autoencoder below the data root. The loss in features takes
another, the FILE, which ``esvae fad train CONFIG --seed 1 --out FILE`` makes; once it takes the judge's own, to see by
how much that flatters.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import replace_part, table
from deploy.cost import cost_of, counted_input
from deploy.entering import InputOptions
from esvae.config import Config, config_from_dict, with_settings
from esvae.data import ImageSet, ImageSplits, load_images
from esvae.metrics.distances import frechet_distance, moments
from esvae.metrics.features import FeatureNet, extract, features_of, frozen, load_features
from esvae.model import ESVAE
from esvae.model.learned import LearnedLif
from esvae.pictures import save_grid
from esvae.run import Run, load_run
from esvae.training.evaluate import posterior_rates
from esvae.training.finish import tune_decoder
from export.ir import Network, Prior
from export.pipeline import integer_network
from sim.readout import images_from_potentials
from sim.sampler import codes_from_rates, draw_latents, initial_states, sample_spikes
from sim.twin.engine import Engine

ROOT = Path(__file__).resolve().parents[1]
IMAGES, COUNTED, BATCH = 5000, 256, 256
PROFILE = "loihi2_anchored"

#: By name, what is set beside the run's config.
DECODERS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "another seed": ("train.seed=1",),
    "last kernel 5x5": ("model.decoder.readout_kernel=5",),
    "last layer begins smooth": ("model.decoder.readout_init=smooth",),
    "begins smooth, 5x5": ("model.decoder.readout_init=smooth", "model.decoder.readout_kernel=5"),
    "cells of 2x2": ("model.decoder.base_size=16", "model.decoder.channels=[32, 24]"),
    "transposed, last kernel on pixels": ("model.decoder.kind=transposed", "model.decoder.channels=[64, 32, 16]"),
    "wider": ("model.decoder.channels=[96, 64]",),
    "three layers": ("model.decoder.channels=[64, 64, 64]",),
    "16 steps": ("model.time_steps=16",),
    "membrane keeps 0.75": ("model.neuron.keep=0.75",),
    "membrane keeps all": ("model.neuron.keep=1.0",),
    "readout keeps 0.8": ("model.readout_keep=0.8",),
    "readout keeps all": ("model.readout_keep=1.0",),
    "edges": ("train.edge_weight=0.1",),
    "coarse pictures": ("train.coarse_weight=0.5",),
    "read back by the encoder": ("train.finish.consistency_weight=1.0",),
    "membrane learned": ("model.learned=[keep]",),
    "membrane and threshold learned": ("model.learned=[keep, threshold]",),
    "readout learned too": ("model.learned=[keep, threshold, readout_keep]",),
    "features": ("train.feature_weight=0.5",),
    "features, weighing less": ("train.feature_weight=0.1",),
    "features of the judge": ("train.feature_weight=0.5",),
}
_OF_THE_JUDGE = "features of the judge"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="pretrained:fashion_mnist")
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="falls to zero with a cosine")
    parser.add_argument("--only", nargs="*", choices=DECODERS, metavar="NAME", help=", ".join(DECODERS))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--features", type=Path, metavar="FILE", help="autoencoder of the loss in features")
    parser.add_argument("--pictures", type=Path, help="a folder for a grid of each")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    run = load_run(arguments.run)
    course = {"run": arguments.run, "weights_sha256": run.weights_hash}
    course |= {"steps": arguments.steps, "learning_rate": arguments.learning_rate}
    found: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    if {key: found.get(key) for key in course} != course:
        found = {**course, "rows": {}}
    if missing := [name for name in arguments.only or DECODERS if name not in found["rows"]]:
        judge = Judge(run, load_images(run.config.data, arguments.data_root), arguments)
        for name in missing:
            found["rows"][name] = judge.row(name)
            print(name, found["rows"][name], file=sys.stderr, flush=True)
            arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    replace_part("decoders", report(found), ROOT / "docs" / "training.md")


class Judge:
    """Trains decoders for one run's code, and measures them."""

    def __init__(self, run: Run, images: ImageSplits, arguments: argparse.Namespace) -> None:
        self.run, self.pictures, self.learning_rate = run, arguments.pictures, arguments.learning_rate
        shown = arguments.steps * run.config.train.batch_size
        if shown > len(images.train):
            raise SystemExit(f"--steps {arguments.steps}: sees more than the {len(images.train)} training images")
        self.training = images.train.head(shown)
        self.net: FeatureNet = features_of(run.config.data, arguments.data_root)
        self.asked = None if arguments.features is None else load_features(arguments.features)
        self.test = images.test.head(IMAGES)
        self.rates = posterior_rates(run.model, self.training)
        self.test_rates = posterior_rates(run.model, self.test)
        self.real = moments(extract(self.net, images.test.split(BATCH), "published"))

    def row(self, name: str) -> dict[str, Any]:
        learning = (f"train.finish.images={len(self.training)}", f"train.finish.learning_rate={self.learning_rate}")
        asked = self.net if name == _OF_THE_JUDGE else self.asked
        trained = self.trained(config_of(self.run.config, (*learning, *DECODERS[name])), asked)
        network = integer_network(trained)[0]
        if isinstance(network.prior, Prior):  # rates are counts of the encoder's window, whatever the decoder's is
            levels = self.run.config.model.time_steps
            network = replace(network, prior=replace(network.prior, levels=levels))
        numbers = {
            place: module.learned
            for place, module in trained.model.decoder.named_modules()
            if isinstance(module, LearnedLif) and module.learned
        }
        return {**self.measured(name, network), **({"learned": numbers} if numbers else {})}

    def trained(self, config: Config, asked: FeatureNet | None) -> Run:
        """A decoder of the config, which begins anew, with the run's encoder and prior; features are those of
        ``asked``."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.train.seed)
            model = ESVAE(config)
        model.encoder = copy.deepcopy(self.run.model.encoder)
        model.encode = None if asked is None else frozen(asked)
        model.prior.load_state_dict(self.run.model.prior.state_dict())
        with tempfile.TemporaryDirectory() as folder:
            tune_decoder(model.arrange(), self.training, folder, {}, rates=self.rates)
        return Run(model.eval(), {}, self.run.weights_hash)

    def measured(self, name: str, network: Network) -> dict[str, Any]:
        engine, steps = Engine(network), network.image_steps
        assert steps is not None
        wanted = self.test.tensor().numpy()
        drawn = np.concatenate(
            [
                images_from_potentials(network, engine.final_potentials(draw_latents(network, 0, numbers)))
                for numbers in np.split(np.arange(IMAGES), range(BATCH, IMAGES, BATCH))
            ]
        )
        reconstructed = decoded(engine, self.test_rates)
        cost = cost_of(counted_input(network, InputOptions(COUNTED, 0)), (PROFILE,))
        estimate = cost.estimates[0]
        if self.pictures is not None:
            side_by_side = np.stack([wanted[:32], reconstructed[:32]], 1).reshape(64, *wanted.shape[1:])
            for kind, images in (("drawn", drawn[:64]), ("reconstructed", side_by_side)):
                save_grid(images, self.pictures / f"{name.replace(' ', '_')}_{kind}.png")
        return {
            "mse": float(np.square(reconstructed - wanted).mean()),
            "fad": self.distance(drawn),
            "fad_posterior": self.distance(decoded(engine, self.rates[:IMAGES])),
            "synops": sum(layer.synops for layer in cost.counts.layers),
            "neurons": sum(layer.updates for layer in cost.counts.layers) / steps,
            "joules": None if estimate.step_time is None else estimate.energy.value,  # None: no chip holds it
        }

    def distance(self, images: np.ndarray) -> float:
        batches = ImageSet(torch.from_numpy(images)).split(BATCH)
        return frechet_distance(moments(extract(self.net, batches, "published")), self.real)


def config_of(config: Config, settings: tuple[str, ...]) -> Config:
    """The run's config with other settings, trained by its finish alone."""
    finish = ("train.finish.epochs=1", "train.finish.gain=false")
    return config_from_dict(with_settings(config.model_dump(), (*finish, *settings)), "decoders")


def decoded(engine: Engine, rates: torch.Tensor) -> np.ndarray:
    """Pictures of the integer decoder of rates ``(N, latent)``, their spikes by the chip's sampler."""
    network = engine.network
    assert network.image_steps is not None
    codes = codes_from_rates(rates.double().numpy(), network.rate_bits)
    parts = []
    for start in range(0, len(codes), BATCH):
        part = codes[start : start + BATCH]
        states = initial_states(0, np.arange(start, start + len(part)), part.shape[1])
        spikes = sample_spikes(part, states, network.image_steps, network.rate_bits, network.sampler)
        parts.append(images_from_potentials(network, engine.final_potentials(spikes)))
    return np.concatenate(parts)


def report(found: dict[str, Any]) -> list[str]:
    rows = []
    for name in [name for name in DECODERS if name in found["rows"]]:
        row, settings = found["rows"][name], ", ".join(f"`{s.removeprefix('model.')}`" for s in DECODERS[name])
        figures = (f"{row['mse']:.4f}", f"{row['fad']:.2f}", f"{row['fad_posterior']:.2f}")
        energy = "not held" if row["joules"] is None else f"{row['joules'] * 1e3:.2f}"
        costs = (f"{row['synops'] / 1e6:.2f}", f"{row['neurons']:,.0f}", energy)
        rows.append([f"{name}{': ' + settings if settings else ''}", *figures, *costs])
    header = ["decoder", "MSE", "FAD", "rates of training images", "million synops", "neurons", "mJ"]
    source = f"`{found['run']}` (weights {found['weights_sha256'][:12]})"
    return [f"Code and prior of {source}, {found['steps']} steps.", "", *table(header, rows)]


if __name__ == "__main__":
    main()
