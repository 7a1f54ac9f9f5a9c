"""Runs many stimuli of any LIF ``.net`` files in Lava; started as a script, by path, inside Lava's own interpreter.

Call: ``python judge.py JOBS.json``. The file holds a list; each job has ``net``, ``spikes`` or ``images`` (``.npy``),
``steps``, ``layers``, ``reset_interval``, ``reset_offset``, ``stagger``, ``sparse`` and ``result``. Lava is imported
once; each job then runs in a fork of its own, so that nothing of one network is left when the next is built. A job's
``result`` appears whole: an ``.npz`` of traces, or beside it ``.error`` with one line.

Each sample starts from rest: between two samples u, v and what the synapses hold back are set to zero. Staggered, all
layers start at the first time step and run on their biases until a spike arrives. Aligned, layer k must be at rest when
the sample reaches it, so its bias is set at that very time step.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import itertools
import json
import os
import platform
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any


def load_neighbour(name: str) -> types.ModuleType:
    """The file ``name`` beside this one, under a module name that cannot clash with anything installed here."""
    spec = importlib.util.spec_from_file_location(f"_esvae_lava_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {name}.py beside {__file__}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(job: dict[str, Any], fed_by_images: bool, input_shape: tuple[int, ...] | None) -> Any:
    """netx's network, with its resets where the job wants them."""
    from lava.lib.dl.netx import hdf5

    # Aligned by sample, netx's clock for resets is one step ahead of the first layer where spikes enter by a synapse.
    shift = 0 if job["stagger"] or fed_by_images else 1
    return hdf5.Network(
        job["net"],
        num_layers=job["layers"],
        input_shape=input_shape,
        reset_interval=job["reset_interval"],
        reset_offset=job["reset_offset"] + shift,
        sparse_fc_layer=job["sparse"],
    )


def held_back(layer: Any) -> list[Any]:
    """The variables of a layer that carry something from one step to the next."""
    synapse = getattr(layer, "synapse", None)
    buffers = [getattr(synapse, name, None) for name in ("a_buf", "a_buff")]
    return [layer.neuron.u, layer.neuron.v, *(buffer for buffer in buffers if buffer is not None)]


def put(variable: Any, values: Any) -> None:
    """Sets a variable of a paused run, and reads it back, since setting alone does not wait until it is done."""
    import numpy as np

    variable.set(np.ascontiguousarray(np.broadcast_to(values, variable.shape)))
    variable.get()


def run(job: dict[str, Any], worker: types.ModuleType) -> None:
    """Builds, runs and records one job."""
    import numpy as np
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.source import RingBuffer

    given = np.load(job["spikes"] or job["images"])
    samples, steps, stagger = len(given), job["steps"], job["stagger"]
    fed_by_images = job["images"] is not None
    network = build(job, fed_by_images, None if fed_by_images or given.ndim != 5 else tuple(given.shape[:1:-1]))
    layers = network.layers
    leads = [0 if stagger else k + (not fed_by_images) for k in range(len(layers))]
    length = steps + max(leads)
    interval = job["reset_interval"] or 1
    length += -length % interval  # so that every sample meets the resets at the same steps
    biases = [layer.neuron.bias_mant.init for layer in layers]
    pictures = None
    if fed_by_images:
        pictures = given.transpose(0, *range(given.ndim - 1, 0, -1))
    else:
        raster = np.zeros((samples, length, *given.shape[2:]), given.dtype)
        raster[:, :steps] = given
        source = RingBuffer(data=worker.fitted(raster, network.inp.shape))
        source.s_out.connect(network.inp)
    for k, layer in enumerate(layers):
        first = pictures[0] if pictures is not None and k == 0 else biases[k]
        layer.neuron.bias_mant.init = np.broadcast_to(first if leads[k] == 0 else 0, layer.neuron.bias_mant.shape)
    with tempfile.TemporaryDirectory(dir=Path(job["result"]).parent) as folder:
        scratch = Path(folder)
        probed = [(f"layer{k}", layer.neuron, 1) for k, layer in enumerate(layers)]
        models, _, _monitors = worker.add_monitors(probed, samples * length, scratch)  # held as long as the network
        executable = network.compile(Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models))
        network.create_runtime(executable=executable)
        started = False
        for n in range(samples):
            marks = sorted({0, *leads, length}) if not stagger else [0, length]
            if started:
                for layer in layers:
                    for variable in held_back(layer):
                        put(variable, 0)
            for begin, end in itertools.pairwise(marks):
                for k, layer in enumerate(layers):
                    if started:
                        on = leads[k] <= begin
                        drive = pictures[n] if pictures is not None and k == 0 else biases[k]
                        put(layer.neuron.bias_mant, drive if on else 0)
                network.run(RunSteps(end - begin))
                started = True
        network.stop()
        arrays = {}
        for k, lead in enumerate(leads):
            for name in "uvs":
                record = np.load(scratch / f"layer{k}.{name}.npy")
                record = record.reshape(samples, length, *record.shape[1:])[:, lead : lead + steps]
                turned = record.transpose(0, 1, *range(record.ndim - 1, 1, -1))
                whole = worker.exact(turned, f"layer {k} {name}")
                arrays[f"layer{k}.{name}"] = whole.astype(np.uint8) if name == "s" else whole
    deliver(Path(job["result"]), arrays)


def deliver(target: Path, arrays: dict[str, Any]) -> None:
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    temporary = target.with_name(f".{target.name}.part")
    temporary.write_bytes(buffer.getvalue())
    temporary.replace(target)


def main(jobs_file: str) -> None:
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    jobs = json.loads(Path(jobs_file).read_text(encoding="utf-8"))
    load_neighbour("group").start_guard(os.getppid(), sys.stdin.fileno(), str(Path(jobs_file).parent))
    worker, stock = load_neighbour("worker"), load_neighbour("stock")
    versions = {name: importlib.metadata.version(name) for name in ("lava-nc", "lava-dl")}
    versions |= {"python": platform.python_version(), "numpy": importlib.metadata.version("numpy")}
    warnings.filterwarnings("ignore")
    with stock.imports({"lif_only": True}, versions):
        import lava.lib.dl.netx.hdf5
        import lava.magma.core.run_configs
        import lava.proc.io.source
        import lava.proc.lif.models  # noqa: F401

        Path(jobs_file).with_name("versions.json").write_text(json.dumps(versions), encoding="utf-8")
        for job in jobs:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    run(job, worker)
                    status = 0
                except BaseException as error:
                    line = " ".join(f"{type(error).__name__}: {error}".split())
                    Path(job["result"] + ".error").write_text(line, encoding="utf-8")
                    if "ESVAE_LAVA_TRACEBACK" in os.environ:
                        raise
                finally:
                    with contextlib.suppress(OSError):
                        sys.stdout.flush()
                        sys.stderr.flush()
                    os._exit(status)
            os.waitpid(child, 0)
            if not Path(job["result"]).exists() and not Path(job["result"] + ".error").exists():
                Path(job["result"] + ".error").write_text("its process ended without a result", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
