"""Convolutions of spikes by events against torch's, layer by layer: up to which activity they are faster.

    python -m benchmarks.event_sums [--out benchmarks/event_sums.json]

Layers of the paper's MNIST network, 1,024 maps each (batch 64, T 16), spikes at random. Times of a line are taken in
turn, the median of several; bfloat16 where the processor multiplies it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import replace_part, table
from benchmarks.simulate import AVX2, turns
from benchmarks.simulate import machine as about_machine
from benchmarks.train_step import multiplies_bfloat16
from esvae.machine.allocator import keep_large_blocks
from esvae.machine.files import write_text
from esvae.model import convolve
from esvae.model.event_sums import event_gradient, event_sums

ROOT = Path(__file__).resolve().parents[1]
#: Whether transposed, channels before and after, side of the maps before.
LAYERS = [
    (False, 32, 64, 16),
    (False, 64, 128, 8),
    (False, 128, 256, 4),
    (True, 256, 128, 2),
    (True, 128, 64, 4),
    (True, 64, 32, 8),
    (True, 32, 32, 16),
]
ACTIVITIES = (0.05, 0.15, 0.25, 0.35, 0.5)
MAPS, REPEATS = 1024, 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--kind", choices=["float32", "bfloat16"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.kind:
        print(json.dumps(measured(getattr(torch, arguments.kind))))
        return
    kinds: list[tuple[str, str, dict[str, str]]] = [("float32", "float32", {})]
    kinds.append(("float32, AVX2 alone", "float32", AVX2))
    if multiplies_bfloat16():
        kinds.append(("bfloat16", "bfloat16", {}))
    found: dict[str, Any] = {"machine": about_machine(), "kinds": {}}
    for name, kind, environment in kinds:
        command = [sys.executable, "-m", "benchmarks.event_sums", "--kind", kind]
        done = subprocess.run(
            command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment
        )
        found["kinds"][name] = json.loads(done.stdout)
        print(name, file=sys.stderr)
    write_text(arguments.out, json.dumps(found, indent=1) + "\n")
    replace_part("event sums", report(found), ROOT / "docs" / "benchmarks.md")


def measured(kind: torch.dtype) -> list[dict[str, Any]]:
    """Milliseconds of each layer: of torch's products, and by events at each activity."""
    keep_large_blocks()
    rows = []
    for transposed, before, after, side in LAYERS:
        settings = ((2, 2), (1, 1), (1, 1), transposed, (1, 1) if transposed else (0, 0), 1)
        weight = convolve._innermost(torch.randn(*((before, after) if transposed else (after, before)), 3, 3), kind)
        to = 2 * side if transposed else side // 2
        grad = convolve._innermost(torch.randn(MAPS, after, to, to), kind)
        row: dict[str, Any] = {"layer": f"{before} to {after}, {side}x{side} to {to}x{to}", "events": {}}
        for activity in ACTIVITIES:
            x = convolve._innermost(torch.rand(MAPS, before, side, side) < activity, kind)
            times = 1000 * np.median(turns(*ways(x, grad, weight, settings), repeats=REPEATS), axis=0)
            row["sums"], row["gradient"] = times[0], times[1]
            row["events"][activity] = list(times[2:])
        rows.append(row)
    return rows


def ways(x: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor, settings: Any) -> tuple[Any, ...]:
    """Sums and gradients, as convolve takes them where many fire, and by events."""
    by_matrix = convolve._by_matrix(grad, x, settings)
    return (
        lambda: convolve._dense(x, weight, settings),
        lambda: (
            convolve._matrix_gradient(x, grad, weight.shape[2:], settings)
            if by_matrix
            else convolve._dense_gradients(grad, x, weight, settings, (False, True))
        ),
        lambda: event_sums(x, weight, settings),
        lambda: event_gradient(x, grad, weight.shape[2:], settings),
    )


def report(found: dict[str, Any]) -> list[str]:
    machine = found["machine"]
    lines = [
        "## Convolutions by events",
        "",
        "Made by `python -m benchmarks.event_sums`; figures in `benchmarks/event_sums.json`. Milliseconds of a layer",
        "of the paper's MNIST network, 1,024 maps, by torch's products and by events, at several shares of inputs that",
        "fire. Training goes by events up to a share that depends on the precision (`few_events` in",
        "`esvae/model/event_sums.py`); not for sums of fewer than 100 products with AVX-512, nor in bfloat16 with AMX.",
        "",
        f"Measured on {machine['cores']} cores of {machine['processor']}, {', '.join(machine['instructions'])}, "
        f"{machine['threads']} threads, Python {machine['python']}, torch {machine['torch']}, {machine['date']}.",
    ]
    for kind, rows in found["kinds"].items():
        for number, what in enumerate(("sums", "gradient")):
            cells = [
                [row["layer"], f"{row[what]:.1f}", *(f"{both[number]:.1f}" for both in row["events"].values())]
                for row in rows
            ]
            words = "sums" if what == "sums" else "gradient by the kernel"
            lines += ["", *table([f"{kind}: {words}", "torch", *(f"{share:.0%}" for share in ACTIVITIES)], cells)]
    return lines


if __name__ == "__main__":
    main()
