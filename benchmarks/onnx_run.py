"""Time an image of the integer twin's ONNX graph in ONNX Runtime, beside the engine on the same spikes.

    python -m benchmarks.onnx_run [--images 64] [--rounds 5] [--out benchmarks/onnx_run.json]

The decoder that comes with the project, and the paper's for MNIST digits at 32x32 with random weights. Engine, ONNX
Runtime and the float decoder's graph take turns, on one thread, without loading; a figure is the best of its rounds and
a ratio the median over the rounds. Potentials are compared before anything is timed. The part of
``docs/benchmarks.md`` between the marks is written anew.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.networks import latents, mnist_decoder
from benchmarks.report import replace_part, table
from benchmarks.simulate import machine, turns, use_threads
from deploy.backends.onnx import session
from esvae.run import load_run
from export.frontends import from_run
from export.ir import Network
from export.onnx.float import float_model
from export.onnx.integer import integer_model
from export.passes import fold_norm
from export.pipeline import integer_network
from sim.twin.engine import Engine

ROOT = Path(__file__).resolve().parents[1]


def measure(name: str, network: Network, floats: Any, images: int, rounds: int) -> dict[str, Any]:
    """One network: milliseconds an image of each, and how many times the engine's the graph takes."""
    started = time.perf_counter()
    model = integer_model(network)
    ready = session(model)
    loading = time.perf_counter() - started
    engine, spikes = Engine(network), latents(network, images)
    expected = engine.final_potentials(spikes)
    (found,) = ready.run(["potentials"], {"spikes": spikes})
    calls = [lambda: engine.final_potentials(spikes), lambda: ready.run(["potentials"], {"spikes": spikes})]
    if floats is not None:
        beside = session(float_model(floats))
        calls.append(lambda: beside.run(["potentials"], {"spikes": spikes}))
    times = turns(*calls, repeats=rounds)
    best = times.min(axis=0) / images * 1e3
    return {
        "network": name,
        "images": images,
        "steps": network.time_steps,
        "file bytes": model.ByteSize(),
        "build and load s": loading,
        "potentials equal": bool(np.array_equal(found, expected)),
        "engine ms": best[0],
        "ONNX Runtime ms": best[1],
        "float graph ms": best[2] if floats is not None else None,
        "ONNX Runtime over engine": float(np.median(times[:, 1] / times[:, 0])),
    }


def report(found: dict[str, Any]) -> list[str]:
    """The part of the page."""
    about = found["machine"]
    cells = [
        [
            f"{r['network']}, {r['steps']} steps",
            f"{r['engine ms']:.2f} ms",
            f"{r['ONNX Runtime ms']:.2f} ms",
            f"{r['ONNX Runtime over engine']:.1f}",
            "-" if r["float graph ms"] is None else f"{r['float graph ms']:.2f} ms",
            f"{r['file bytes']:,} B",
            str(r["potentials equal"]),
        ]
        for r in found["result"]
    ]
    header = ["network", "twin", "ONNX Runtime", "ratio", "float graph", "file", "potentials equal"]
    before, after = about["load before, after"]
    return [
        "## The integer twin in ONNX Runtime",
        "",
        "Made by `python -m benchmarks.onnx_run`; figures in `benchmarks/onnx_run.json`.",
        "Time an image, without loading.",
        "",
        f"Measured on {about['cores']} cores of {about['processor']}, {about['threads']} thread, Python "
        f"{about['python']}, torch {about['torch']}, ONNX Runtime {about['onnxruntime']}, {about['date']}. "
        f"Other work ran beside it (load {before:.1f} before, {after:.1f} after): ratios say more than times.",
        "",
        *table(header, cells),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "onnx_run.json")
    options = parser.parse_args()
    use_threads(1)
    load_before = os.getloadavg()[0]
    run = load_run("pretrained:fashion_mnist_fast")
    network, _, _ = integer_network(run, lowering="none")
    results = [
        measure("fashion_mnist_fast, as it comes", network, fold_norm(from_run(run)), options.images, options.rounds),
        measure("paper's MNIST decoder", mnist_decoder(), None, max(1, options.images // 4), options.rounds),
    ]
    about = machine() | {
        "onnxruntime": onnxruntime.__version__,
        "load before, after": [load_before, os.getloadavg()[0]],
    }
    found = {"machine": about, "result": results}
    options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    replace_part("onnx_run", report(found), ROOT / "docs" / "benchmarks.md")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0 if all(row["potentials equal"] for row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
