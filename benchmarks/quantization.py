"""What rounding to few bits costs in quality: after training, with error feedback, and trained in integers.

    python -m benchmarks.quantization RUN [RUN ...] [--bits 8,6,4,3,2] [--trained 4,3,2] [--images 2000] [--work DIR]
        [--data-root D]

Each run is exported at every number of bits, scales by ``mse`` and by ``feedback``, and trained on in the chip's
integers (``esvae train --qat --from RUN``), at all of them or those of ``--trained``; the same training without
rounding stands beside it, since more training alone makes a model better. Test images are reconstructed through the
integer decoder, from spikes of the integer sampler. What is kept in ``--work`` is not trained again.

- loss: reconstruction MSE over the float run's, less one;
- image: mean squared difference to the float decoder's image of the same latent spikes, those of the float encoder;
- spikes: share of spikes that differ from the float decoder's, by layer.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import replace_part, table
from benchmarks.simulate import machine as about_machine
from deploy.posterior import encode_counts
from esvae.data import load_images
from esvae.run import Run, load_run
from esvae.training import Machine, fine_tuning, train
from export.frontends import from_run
from export.ir import Network
from export.pipeline import Options, compiled
from sim.readout import images_from_potentials
from sim.sampler import posterior_latents
from sim.twin.engine import Engine

ROOT = Path(__file__).resolve().parents[1]
_PART = 250  # images to a pass
_COMPARED = 500  # images whose spikes are compared, layer by layer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--bits", default="8,6,4,3,2")
    parser.add_argument("--trained", help="numbers of bits that are trained on with, all where not given")
    parser.add_argument("--steps", type=int, help="of each further training, at most")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--work", type=Path, default=Path("runs/quantization"))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    bits = [int(text) for text in arguments.bits.split(",")]
    chosen = bits if arguments.trained is None else [int(text) for text in arguments.trained.split(",")]
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"networks": {}}
    found["machine"] = about_machine()
    for name in arguments.runs:
        measured = measure(name, bits, chosen, arguments.images, arguments.work, arguments.data_root, arguments.steps)
        found["networks"][measured["name"]] = measured
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    replace_part("quantization", report(found), ROOT / "docs" / "benchmarks.md")


def measure(
    name: str, bits: list[int], chosen: list[int], count: int, work: Path, data_root: Path | None, steps: int | None
) -> dict[str, Any]:
    run = load_run(name)
    splits = load_images(run.config.data, data_root)
    images = splits.test.head(min(count, len(splits.test))).tensor().numpy()
    judge = Judge(run, images)
    rows: dict[str, Any] = {}

    def trained(width: int | None) -> Run:
        target = work / run.config.name / ("float" if width is None else f"{width}_bit")
        return train(
            fine_tuning(run.config, width),
            target,
            initial=run,
            images=splits,
            machine=Machine(max_steps=steps),
            resume=True,
        )

    rows["float, trained on"] = {"loss": judge.loss_of_float(trained(None))}
    for width in bits:
        for method in ("mse", "feedback"):
            plain = compiled(from_run(run), Options(width, "native", method)).plain
            assert plain is not None
            rows[f"{width} bit, {method}"] = judge.row(run, plain)
        if width in chosen:
            tuned = trained(width)
            plain = compiled(from_run(tuned), Options(lowering="native")).plain
            assert plain is not None
            rows[f"{width} bit, trained"] = judge.row(tuned, plain)
    for label, row in rows.items():
        print(f"{name} {label}: {row}", file=sys.stderr)
    data = run.config.data
    return {
        "name": run.config.name,
        "data": data.name,
        "size": data.image_size,
        "images": len(images),
        "float_mse": judge.float_mse,
        "trained on": steps,
        "rows": rows,
    }


class Judge:
    """Compares decoders with one run's float decoder."""

    def __init__(self, run: Run, images: np.ndarray) -> None:
        self.run, self.images = run, images
        plain = compiled(from_run(run), Options(8, "native")).plain
        assert plain is not None
        self.latents = latents_of(run, plain, images)
        self.drawn = float_images(run, self.latents)
        self.float_mse = float(np.square(self.drawn - images).mean())
        with torch.inference_mode():
            raster = torch.from_numpy(self.latents[:_COMPARED]).float().transpose(0, 1)
            self.hidden = [x.unflatten(0, (len(raster), -1)).bool() for x in run.model.decoder.hidden(raster)]

    def loss_of_float(self, run: Run) -> float:
        plain = compiled(from_run(run), Options(8, "native")).plain
        assert plain is not None
        drawn = float_images(run, latents_of(run, plain, self.images))
        return float(np.square(drawn - self.images).mean() / self.float_mse - 1)

    def row(self, run: Run, network: Network) -> dict[str, Any]:
        own = integer_images(network, latents_of(run, network, self.images))
        same = integer_images(network, self.latents)
        differing = np.zeros(len(self.hidden))
        start = 0
        for layers in Engine(network).run(shaped(network, self.latents[:_COMPARED])):
            stop = start + layers[0].spikes.shape[1]
            for k, seen in enumerate(self.hidden):
                other = seen[:, start:stop]
                differing[k] += int((layers[k].spikes.reshape(other.shape) != other).sum()) / seen.numel()
            start = stop
        return {
            "loss": float(np.square(own - self.images).mean() / self.float_mse - 1),
            "image": float(np.square(same - self.drawn).mean()),
            "spikes": differing.tolist(),
        }


def latents_of(run: Run, network: Network, images: np.ndarray) -> np.ndarray:
    """Posterior spikes ``(images, steps, latents)`` of the run's encoder."""
    return posterior_latents(network, encode_counts(run, images), 0, np.arange(len(images)))


def shaped(network: Network, latents: np.ndarray) -> np.ndarray:
    return latents.reshape(*latents.shape[:2], *network.input_shape)


def integer_images(network: Network, latents: np.ndarray) -> np.ndarray:
    return images_from_potentials(network, Engine(network).final_potentials(shaped(network, latents)))


@torch.inference_mode()
def float_images(run: Run, latents: np.ndarray) -> np.ndarray:
    raster = torch.from_numpy(latents).float().transpose(0, 1)
    drawn: np.ndarray = torch.cat([run.model.decoder(part) for part in raster.split(_PART, 1)]).numpy()
    return drawn


def report(found: dict[str, Any]) -> list[str]:
    machine = found["machine"]
    lines = [
        "## Quality at few bits",
        "",
        "Made by `python -m benchmarks.quantization`; figures in `benchmarks/quantization.json`. *Loss*:",
        "reconstruction MSE of test images through the integer decoder over the float run's, less one. *Image*: mean",
        "squared difference to the float decoder's image of the same latent spikes. *Spikes*: share that differ from",
        "the float decoder's, by layer. *mse* and *feedback* round a trained run (`export --calibration`); *trained*",
        "is half as many epochs again in the chip's integers (`train --qat --from RUN`), which moves the encoder too,",
        "so its images need not be the float decoder's. The same training in floats stands beside it: what it gains,",
        "training alone gains.",
        "",
        f"Made with Python {machine['python']}, torch {machine['torch']}, {machine['date']}.",
    ]
    for network in found["networks"].values():
        rows = []
        for name, entry in network["rows"].items():
            spikes = ", ".join(f"{100 * share:.2f} %" for share in entry.get("spikes", []))
            image = f"{entry['image']:.5f}" if "image" in entry else ""
            rows.append([name, f"{100 * entry['loss']:+.2f} %", image, spikes])
        lines += [
            "",
            f"`{network['name']}` ({network['data']}, {network['size']}x{network['size']}), {network['images']} test "
            f"images, float reconstruction MSE {network['float_mse']:.4f}"
            + (f"; trained on for {network['trained on']:,} steps:" if network["trained on"] else ":"),
            "",
            *table(["", "loss", "image", "spikes"], rows),
        ]
    return lines


if __name__ == "__main__":
    main()
