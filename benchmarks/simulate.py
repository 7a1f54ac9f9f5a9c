"""Speed of the integer twin: against bare convolutions, against Lava, by activity, by size, and on 100,000 images.

    python -m benchmarks.simulate [limit avx2 events scaling memory lava] [--out benchmarks/simulate.json]

Figures of one line are taken alternately in one run, each the best of several repeats, and compared as ratios: a shared
machine makes absolute times vary. Results of parts that are not run again are kept from the JSON file; from all of them
``docs/benchmarks.md`` and its plot are written.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from benchmarks.memory import peak_mib
from benchmarks.networks import latents, mnist_decoder, subpixel_decoder, subpixel_generator
from benchmarks.report import write_report
from esvae.machine.allocator import keep_large_blocks
from export.ir import Conv, ConvTranspose, Lif, Network
from export.ir.geometry import is_point
from export.netx.write import write_netx
from sim.readout import images_from_potentials
from sim.sampler import draw_latents
from sim.twin.engine import Engine
from sim.twin.sums import LayerSums
from sim.twin.synapses import map_sums

ROOT = Path(__file__).resolve().parents[1]
DECODERS = {"chip-native decoder": subpixel_decoder, "paper's MNIST decoder": mnist_decoder}
REPEATS = 7
#: Images that are drawn, run and read at a time.
_PART = 4096
#: Passes, of as many images each as the twin takes at a time, of one measurement.
_PASSES = 4
#: Seconds after which torch's threads no longer spin, on the core of the next function, for more to do.
_SPINNING = 0.02
#: What keeps torch, oneDNN and numba from more than AVX2.
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+popcnt,+lzcnt",
}


def best(*functions: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    """Shortest time of each function in seconds, all of them in turn, ``repeats`` times, after one run to warm up."""
    return turns(*functions, repeats=repeats).min(axis=0).tolist()


def turns(
    *functions: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter, rest: float = 0
) -> np.ndarray:
    """Seconds of each function in each turn, ``(repeats, functions)``, after a rest of so many seconds."""
    times = np.empty((repeats + 1, len(functions)))
    for repeat, k in itertools.product(range(repeats + 1), range(len(functions))):
        time.sleep(rest)
        start = clock()
        functions[k]()
        times[repeat, k] = clock() - start
    return times[1:]


def bare_convolutions(network: Network, images: int, *, first_as_matrix: bool, passes: int = 1) -> Callable[[], None]:
    """The layers' convolutions alone, in float32 with channels innermost, on rasters that lie ready, so many times.

    On a 1x1 map a convolution with full padding multiplies mostly zeros; ``first_as_matrix`` spares it those.
    """
    calls: list[Callable[[], torch.Tensor]] = []
    for layer, before, after in network.synapses():
        assert isinstance(layer, (Conv, ConvTranspose))
        x = (torch.rand(images * (network.time_steps or 1), *before) < 0.2).float()
        x = x.contiguous(memory_format=torch.channels_last)
        if first_as_matrix and is_point(before):
            matrix, rows = torch.rand(before[0], int(np.prod(after))), x.reshape(len(x), -1)
            calls.append(lambda rows=rows, matrix=matrix: rows @ matrix)
            continue
        weight = torch.from_numpy(layer.weight.astype(np.float32)).contiguous(memory_format=torch.channels_last)
        calls.append(lambda layer=layer, x=x, weight=weight: map_sums(layer, x, weight))

    def run() -> None:
        with torch.inference_mode():
            for _, call in itertools.product(range(passes), calls):
                call()

    return run


def measure_limit() -> list[dict[str, Any]]:
    """The twin against the bare convolutions of the same shapes, the same number of images at a time."""
    rows = []
    for threads, (name, make) in itertools.product(sorted({1, torch.get_num_threads()}), DECODERS.items()):
        use_threads(threads)
        network = make()
        engine, dense, floats = Engine(network), Engine(network, path="dense"), Engine(network, path="float")
        chunk = engine._chunk(network.time_steps or 1, kept=False, trace=False)
        spikes, images = latents(network, _PASSES * chunk), _PASSES * chunk
        literal = bare_convolutions(network, chunk, first_as_matrix=False, passes=_PASSES)
        spared = bare_convolutions(network, chunk, first_as_matrix=True, passes=_PASSES)
        times = turns(
            lambda e=engine, s=spikes: e.final_potentials(s),
            lambda e=dense, s=spikes: e.final_potentials(s),
            lambda e=floats, s=spikes: e.final_potentials(s),
            literal,
            spared,
            repeats=3 * REPEATS,
            rest=_SPINNING,
            clock=time.process_time if threads == 1 else time.perf_counter,
        )
        auto, full, floating, literal_time, spared_time = np.median(times, axis=0) / images * 1e3
        ratio, strict, strictest, gain = np.median(times[:, [3, 4, 4, 2]] / times[:, [0, 0, 1, 0]], axis=0)
        activity = [float(layer.spikes.float().mean()) for layer in next(engine.run(spikes[: min(chunk, 8)]))][:-1]
        stages = stage_times(dense, spikes[:chunk])
        rows.append(
            {
                "network": name,
                "threads": threads,
                "images at a time": chunk,
                "activity": activity,
                "twin ms": auto,
                "twin dense ms": full,
                "twin float ms": floating,
                "convolutions ms": literal_time,
                "convolutions, first as matrix, ms": spared_time,
                "ratio": ratio,
                "ratio, first as matrix": strict,
                "ratio dense, first as matrix": strictest,
                "ratio float": gain,
                **stages,
            }
        )
    return rows


def measure_avx2() -> list[dict[str, Any]]:
    """As :func:`measure_limit`, in a process that has no more than AVX2."""
    return list(_in_a_process("--limit", environment=AVX2))


def _in_a_process(*arguments: str, environment: dict[str, str] | None = None) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.simulate", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    return json.loads(done.stdout.splitlines()[-1])


def use_threads(count: int) -> None:
    """Of torch and of numba alike."""
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # first: with OpenMP, it sets torch's too
    torch.set_num_threads(count)


def stage_times(engine: Engine, spikes: np.ndarray) -> dict[str, float]:
    """Milliseconds an image in sums, and in the neurons behind them, all layers together; nothing is gathered."""
    resets = np.zeros(spikes.shape[1], bool)
    sums = both = 0.0
    with torch.inference_mode():
        raster = engine._entered(spikes)
        for stage in engine._stages:
            found = [float("inf")] * 2
            for _ in range(REPEATS):
                start = time.perf_counter()
                assert isinstance(stage.sums, LayerSums)
                stage.sums.placed(raster, None)
                middle = time.perf_counter()
                fired, _ = stage.run(raster, resets, False)
                found = [min(found[0], middle - start), min(found[1], time.perf_counter() - middle)]
            sums, both, raster = sums + found[0], both + found[1], fired
    return {"sums ms": sums / len(spikes) * 1e3, "neurons ms": (both - sums) / len(spikes) * 1e3}


def measure_events() -> list[dict[str, Any]]:
    """Sums in floating point against gathered ones of one layer, at several activities, on one thread."""
    use_threads(1)
    keep_large_blocks()  # as an engine does
    rng = np.random.default_rng(0)
    neuron = Lif(4096, 3072, 100)

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-60, 61, shape) * 2

    shapes: dict[str, tuple[Any, tuple[int, int, int]]] = {
        "conv 3x3, 64 to 64, 8x8": (Conv(weight(64, 64, 3, 3), None, neuron, padding=(1, 1)), (64, 8, 8)),
        "conv 3x3, 64 to 16, 8x8": (Conv(weight(16, 64, 3, 3), None, neuron, padding=(1, 1)), (64, 8, 8)),
        "conv 3x3 stride 2, 32 to 64, 16x16": (
            Conv(weight(64, 32, 3, 3), None, neuron, (2, 2), (1, 1)),
            (32, 16, 16),
        ),
        "transposed 3x3 stride 2, 64 to 32, 8x8": (
            ConvTranspose(weight(64, 32, 3, 3), None, neuron, (2, 2), (1, 1), output_padding=(1, 1)),
            (64, 8, 8),
        ),
    }
    rows = []
    for name, (layer, shape) in shapes.items():
        network = Network(shape, (layer,), time_steps=16)
        dense, events = (Engine(network, path=path)._stages[0] for path in ("float", "gather"))
        row: dict[str, Any] = {"layer": name}
        for activity in (0.02, 0.05, 0.1, 0.3):
            raster = (torch.rand(16, 16, int(np.prod(shape))) < activity).to(torch.uint8)
            with torch.inference_mode():
                slow, fast = best(partial(dense.sums, raster), partial(events.sums, raster))
            row[f"{activity:.0%}"] = slow / fast
        rows.append(row)
    return rows


def measure_scaling() -> dict[str, list[dict[str, float]]]:
    """Milliseconds an image of the chip-native decoder over steps, channels and images, on one thread."""
    use_threads(1)

    def per_image(network: Network, images: int) -> float:
        engine, spikes = Engine(network), latents(network, images)
        return best(lambda: engine.final_potentials(spikes))[0] / images * 1e3

    return {
        "steps": [{"steps": t, "ms": per_image(subpixel_decoder(steps=t), 32)} for t in (4, 8, 16, 32, 64)],
        "channels": [{"channels": c, "ms": per_image(subpixel_decoder(channels=c), 32)} for c in (16, 32, 64, 128)],
        "images": [{"images": n, "ms": per_image(subpixel_decoder(), n)} for n in (1, 4, 16, 64, 256)],
    }


def measure_memory() -> list[dict[str, float]]:
    """Time and largest memory of whole processes over ever more images."""
    return [_in_a_process("--stream", str(images)) for images in (1_000, 10_000, 100_000)]


def stream(images: int) -> dict[str, float]:
    """Draws ``images`` of the chip-native decoder, and keeps of each only the sum of its potentials."""
    network = subpixel_generator()
    engine = Engine(network)
    seconds, total = {"sampler": 0.0, "network": 0.0, "readout": 0.0}, 0
    engine.final_potentials(draw_latents(network, 0, np.arange(64)))  # compiles, and tries out
    for first in range(0, images, _PART):
        stop = min(first + _PART, images)
        marks = [time.perf_counter()]
        spikes = draw_latents(network, 0, np.arange(first, stop))
        marks.append(time.perf_counter())
        potentials = engine.final_potentials(spikes)
        marks.append(time.perf_counter())
        images_from_potentials(network, potentials)
        marks.append(time.perf_counter())
        total += int(potentials.sum(dtype=np.int64))
        seconds = {name: seconds[name] + spent for name, spent in zip(seconds, np.diff(marks), strict=True)}
    whole = sum(seconds.values())
    shares = {f"{name} ms": spent / images * 1e3 for name, spent in seconds.items()}
    peak = peak_mib()
    about = {"images": images, "seconds": whole, "ms": whole / images * 1e3, "peak MB": peak, "checksum": total}
    return {**about, **shares}


def measure_lava(images: int = 4) -> list[dict[str, Any]]:
    """Lava's time for its steps, without loading, against the twin's on the same file and spikes."""
    from deploy.lava.jobs import WindowsJob
    from deploy.lava.run import run_lava

    network = subpixel_decoder()
    spikes, many = latents(network, images), latents(network, 256)
    engine = Engine(network)
    with tempfile.TemporaryDirectory() as folder:
        path = write_netx(network, Path(folder) / "decoder.net")
        own = best(lambda: engine.final_potentials(many))[0] / len(many)
        run = run_lava(WindowsJob(path, spikes))
        own = min(own, best(lambda: engine.final_potentials(many))[0] / len(many))
    seconds = run.seconds["running"] / images
    return [
        {
            "network": "chip-native decoder",
            "images in Lava": images,
            "Lava s": seconds,
            "twin ms": own * 1e3,
            "ratio": seconds / own,
            "equal": bool(np.array_equal(run.readout, engine.final_potentials(spikes))),
        }
    ]


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx_vnni": "VNNI", "avx512_vnni": "VNNI", "amx_int8": "AMX"}
    known |= {"avx512_bf16": "BF16", "amx_bf16": "AMX-BF16"}
    return {
        "processor": model,
        "instructions": list(dict.fromkeys(name for flag, name in known.items() if flag in flags)),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


PARTS: dict[str, Callable[[], Any]] = {
    "limit": measure_limit,
    "avx2": measure_avx2,
    "events": measure_events,
    "scaling": measure_scaling,
    "memory": measure_memory,
    "lava": measure_lava,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="what to measure; all where none is named")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "simulate.json")
    parser.add_argument("--stream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--limit", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stream or options.limit:
        found = stream(options.stream) if options.stream else measure_limit()
        sys.stdout.write(json.dumps(found) + "\n")
        return
    found = json.loads(options.out.read_text("utf-8")) if options.out.exists() else {}
    for part in options.parts or PARTS:
        sys.stderr.write(f"{part}\n")
        threads = torch.get_num_threads()
        found[part] = {"machine": machine(), "result": PARTS[part]()}
        use_threads(threads)
        options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        write_report(found, ROOT / "docs")


if __name__ == "__main__":
    main()
