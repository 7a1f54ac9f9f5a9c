"""Time and memory of one training step, against the plain time-last equations of ``tests/time_last.py``.

    python -m benchmarks.train_step [--rounds 3] [--out benchmarks/train_step.json]

A step is forward, backward and AdamW of the paper's MNIST network (batch 64, T 16, 32x32x1, latent 32). Each variant
runs in processes of its own, the variants in turn, several rounds; figures are medians, ratios those of the rounds. "As
run by default" means that our training tells glibc to keep large blocks (``esvae/machine/allocator.py``) and plain code
does not. The plain equations come in two ways of writing the spikes of a window: stacked at the end, and step by step
into one tensor, as the reference implementation does, for which autograd copies that tensor at every step.

Where there is a GPU, images a second and the share of time outside matrix products and convolutions come too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.memory import peak_mib
from benchmarks.report import replace_part, table
from benchmarks.simulate import machine as about_machine
from deploy.view.style import figure, line, linear_axis, save_png, styled

ROOT = Path(__file__).resolve().parents[1]
HALF = "ours, bf16-mixed"
VARIANTS = {
    "ours": ("ours", True),
    HALF: (HALF, True),
    "ours, default allocator": ("ours", False),
    "plain, stacked": ("stacked", False),
    "plain, stacked, same allocator": ("stacked", True),
    "plain, in place": ("in place", False),
    "plain, in place, same allocator": ("in place", True),
}
STEPS, BATCH = 16, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--child", nargs=4, metavar=("MODEL", "KEEP", "STEPS", "BATCH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        model, keep, steps, batch = arguments.child
        print(json.dumps(measure(model, keep == "1", int(steps), int(batch))))
        return
    variants = {name: given for name, given in VARIANTS.items() if given[0] != HALF or multiplies_bfloat16()}
    ours = [name for name, (model, keep) in variants.items() if keep and model.startswith("ours")]
    rounds = [
        {name: child(model, keep, STEPS, BATCH) for name, (model, keep) in variants.items()}
        for _ in range(arguments.rounds)
    ]
    found: dict[str, Any] = {"machine": about_machine(), "variants": {}, "ratios": {}}
    for name in variants:
        found["variants"][name] = {
            key: statistics.median(each[name][key] for each in rounds) for key in ("ms", "peak MB")
        }
    for name in [name for name, (model, _) in variants.items() if not model.startswith("ours")]:
        for mine in ours:
            ratios = sorted(each[name]["ms"] / each[mine]["ms"] for each in rounds)
            memory = statistics.median(each[mine]["peak MB"] / each[name]["peak MB"] for each in rounds)
            found["ratios"].setdefault(mine, {})[name] = {
                "median": statistics.median(ratios),
                "from": ratios[0],
                "to": ratios[-1],
                "memory": memory,
            }
    found["by T"] = {steps: child("ours", True, steps, BATCH)["ms"] for steps in (4, 8, 16, 32)}
    found["by batch"] = {batch: child("ours", True, STEPS, batch)["ms"] for batch in (16, 32, 64, 128)}
    if torch.cuda.is_available():
        found["gpu"] = on_gpu()
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    replace_part("train step", report(found), ROOT / "docs" / "benchmarks.md")
    plot(found, ROOT / "docs" / "benchmarks_train_step.png")


def multiplies_bfloat16() -> bool:
    """Whether the processor does; it takes others twenty seconds a step."""
    from esvae.config import load_config
    from esvae.training.precision import settled_precision

    config = load_config("mnist")
    auto = config.model_copy(update={"train": config.train.model_copy(update={"precision": "auto"})})
    return settled_precision(auto, gpu=False)[0].train.precision == "bf16-mixed"


def child(model: str, keep: bool, steps: int, batch: int) -> dict[str, float]:
    """:func:`measure` in a process of its own, whose memory is that of this variant alone."""
    arguments = ["--child", model, str(int(keep)), str(steps), str(batch)]
    command = [sys.executable, "-m", "benchmarks.train_step", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{model:10s} kept blocks {keep!s:5s} T {steps:3d} batch {batch:4d}: {result['ms']:8.1f} ms", file=sys.stderr)
    return result


def measure(kind: str, keep: bool, steps: int, batch: int) -> dict[str, float]:
    """Shortest of several steps in milliseconds, and the largest memory of the process in MB."""
    sys.path.insert(0, str(ROOT / "tests"))
    from esvae.config import config_from_dict, load_config
    from esvae.machine.allocator import keep_large_blocks
    from esvae.model import ESVAE
    from esvae.model.layers import set_half

    if keep:
        keep_large_blocks()
    content = load_config("mnist").model_dump()
    content["model"]["time_steps"] = steps
    torch.manual_seed(0)
    model: Any = ESVAE(config_from_dict(content, "mnist")).arrange()
    if kind == HALF:
        set_half(model, True)
    elif kind != "ours":
        from time_last import TimeLast

        model = TimeLast(model, in_place=kind == "in place")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    images, draws = torch.rand(batch, 1, 32, 32) * 2 - 1, torch.Generator().manual_seed(0)
    times = []
    plain = not kind.startswith("ours")
    for _ in range(2 if plain else 1):
        step(model, optimizer, images, draws)
    for _ in range(4 if plain else 12):
        start = time.perf_counter()
        step(model, optimizer, images, draws)
        times.append(time.perf_counter() - start)
    peak = peak_mib()
    return {"ms": 1000 * min(times), "peak MB": peak}


def step(model: Any, optimizer: torch.optim.Optimizer, images: torch.Tensor, draws: torch.Generator) -> None:
    losses = model.losses(images, draws)
    total = losses[0] if isinstance(losses, tuple) else losses.total
    optimizer.zero_grad()
    total.backward()
    optimizer.step()


def on_gpu() -> dict[str, float]:
    """Images a second, and the share of the device's time outside matrix products and convolutions."""
    from torch.profiler import ProfilerActivity, profile

    from esvae.config import load_config
    from esvae.model import ESVAE

    model = ESVAE(load_config("mnist")).cuda().arrange()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    images, draws = torch.rand(256, 1, 32, 32, device="cuda") * 2 - 1, torch.Generator().manual_seed(0)
    for _ in range(5):
        step(model, optimizer, images, draws)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        step(model, optimizer, images, draws)
    torch.cuda.synchronize()
    rate = 20 * len(images) / (time.perf_counter() - start)
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        step(model, optimizer, images, draws)
        torch.cuda.synchronize()
    kernels = {event.key: event.self_device_time_total for event in record.key_averages()}
    arithmetic = sum(
        t for name, t in kernels.items() if any(word in name for word in ("gemm", "conv", "cudnn", "cutlass"))
    )
    return {"images a second": rate, "share outside products": 1 - arithmetic / sum(kernels.values())}


def report(found: dict[str, Any]) -> list[str]:
    variants, ratios, machine = found["variants"], found["ratios"], found["machine"]
    rows = []
    for name, entry in variants.items():
        over = []
        for of in ratios.values():
            ratio = of.get(name)
            over += (
                ["", ""]
                if ratio is None
                else [f"{ratio['median']:.1f} ({ratio['from']:.1f} to {ratio['to']:.1f})", f"{ratio['memory']:.2f}"]
            )
        rows.append([name, f"{entry['ms']:.0f}", f"{entry['peak MB']:.0f}", *over])
    return [
        "## A training step",
        "",
        "Made by `python -m benchmarks.train_step`; figures in `benchmarks/train_step.json`. Forward, backward and",
        "AdamW of the paper's MNIST network, batch 64, T 16. The plain equations are those of `tests/time_last.py`,",
        "which the tests hold ours equal to; *in place* writes the spikes of a window into one tensor, as the",
        "reference implementation does; *bf16-mixed* computes the convolutions of spiking layers in bfloat16, and is",
        "left out where the processor does not multiply that.",
        "",
        f"Measured on {machine['cores']} cores of {machine['processor']}, {', '.join(machine['instructions'])}, "
        f"{machine['threads']} threads, "
        f"Python {machine['python']}, torch {machine['torch']}, {machine['date']}.",
        "",
        *table(
            [
                "",
                "ms",
                "largest memory, MB",
                *("time over ours", "our memory over its"),
                *(("time over bf16-mixed", "its memory over") if HALF in variants else ()),
            ],
            rows,
        ),
        "",
        *table(["time steps", *map(str, found["by T"])], [["ms", *(f"{ms:.0f}" for ms in found["by T"].values())]]),
        "",
        *table(["batch", *map(str, found["by batch"])], [["ms", *(f"{ms:.0f}" for ms in found["by batch"].values())]]),
        "",
        "![Time of a step over time steps and batch](benchmarks_train_step.png){ .chart }",
    ]


@styled
def plot(found: dict[str, Any], target: Path) -> None:
    made, axes = figure(7, 3, 1, 2, sharey=True)
    for axis, (name, label) in zip(axes, (("by T", "time steps"), ("by batch", "batch")), strict=True):
        axis.plot([int(key) for key in found[name]], list(found[name].values()), **line(0, label))
        axis.set_xlabel(label)
        axis.set_xlim(left=0)
        linear_axis(axis.xaxis, whole=True)
    axes[0].set_ylabel("ms a step")
    axes[0].set_ylim(bottom=0)
    linear_axis(axes[0].yaxis)
    save_png(made, target)


if __name__ == "__main__":
    main()
