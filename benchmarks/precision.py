"""Whether training in ``bf16-mixed`` reaches what training in ``32`` reaches: several seeds of each, in turn.

    python -m benchmarks.precision [--config mnist_systematic] [--batch 32] [--steps 2000] [--seeds 3] [--data-root DIR]

Each training has so many steps and no finish; its reconstruction MSE is that of the test set, in float32. What is done
is kept in the JSON file: a call that is broken off goes on where it was, and one with another config, batch or number
of steps adds to it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import replace_part, table
from benchmarks.simulate import machine as about_machine
from esvae.config import Config, load_config
from esvae.data import ImageSplits, load_images
from esvae.machine.files import write_text
from esvae.training import Machine, evaluate_mse, train

ROOT = Path(__file__).resolve().parents[1]
PRECISIONS = ("32", "bf16-mixed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="mnist_systematic")
    parser.add_argument("--batch", type=int, help="instead of the config's")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    batch = arguments.batch or config.train.batch_size
    images = load_images(config.data, arguments.data_root)
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"trainings": []}
    what = {"config": config.name, "batch": batch, "steps": arguments.steps}
    training = next((each for each in found["trainings"] if what.items() <= each.items()), None)
    if training is None:
        training = {**what, "machine": about_machine(), "runs": []}
        found["trainings"].append(training)
    for seed in range(arguments.seeds):
        for precision in PRECISIONS:  # in turn, so that what else the machine does meets both
            chosen = {"precision": precision, "seed": seed}
            if any(chosen.items() <= run.items() for run in training["runs"]):
                continue
            changed = with_training(config, **chosen, batch_size=batch, finish=None)
            training["runs"].append({**chosen, **trained(changed, images, arguments.steps)})
            write_text(arguments.out, json.dumps(found, indent=1) + "\n")
            print(what, training["runs"][-1], file=sys.stderr, flush=True)
    replace_part("precision", report(found), ROOT / "docs" / "benchmarks.md")


def with_training(config: Config, **changes: Any) -> Config:
    """The config with other settings of its training."""
    return config.model_copy(update={"train": config.train.model_copy(update=changes)})


def trained(config: Config, images: ImageSplits, steps: int) -> dict[str, float]:
    """Error on the test set, and seconds of the processor's time."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = train(config, Path(folder) / "run", images=images, machine=Machine(max_steps=steps))
    return {"cpu_s": time.process_time() - start, "mse": evaluate_mse(run.model, images.test)}


def report(found: dict[str, Any]) -> list[str]:
    rows, made = [], {}
    for training in found["trainings"]:
        machine = training["machine"]
        made[
            f"{machine['processor']}, {', '.join(machine['instructions'])}, {machine['threads']} threads, "
            f"Python {machine['python']}, torch {machine['torch']}, {machine['date']}"
        ] = None
        for precision in PRECISIONS:
            runs = [run for run in training["runs"] if run["precision"] == precision]
            errors = [run["mse"] for run in runs]
            rows.append(
                [
                    f"`{training['config']}`, batch {training['batch']}, {training['steps']:,} steps",
                    precision,
                    f"{statistics.mean(errors):.4f}",
                    f"{min(errors):.4f} to {max(errors):.4f} ({len(runs)})",
                    f"{statistics.mean(run['cpu_s'] for run in runs):.0f}",
                ]
            )
    return [
        "## Training in half precision",
        "",
        "Made by `python -m benchmarks.precision`; figures in `benchmarks/precision.json`. Reconstruction MSE of the",
        "test images, in float32.",
        "",
        f"Measured on {'; '.join(made)}.",
        "",
        *table(["", "`train.precision`", "MSE, mean", "over the seeds", "processor time, s"], rows),
    ]


if __name__ == "__main__":
    main()
