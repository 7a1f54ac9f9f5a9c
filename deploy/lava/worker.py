"""Runs one network in Lava; started as a script, by path, inside the interpreter that has Lava.

This file, its neighbours ``stock.py``, ``native.py`` and ``loihi2.py``, and the folder ``processes`` import lava. They
and ``group.py`` and ``watch.py`` are loaded by path; beyond that they need the standard library, numpy, scipy and h5py.

Call: ``python worker.py JOB.json DESCRIPTOR``. The job holds ``loader`` (``stock`` or ``native``) and what that one
builds from, ``images``, ``steps``, ``latents`` (an ``.npy`` of 0/1 spikes) or ``sampler``, ``readout`` (whether a
process reads the images), ``trace``, ``target``, ``result`` and ``scratch`` (a folder). The descriptor is a pipe's
write end: JSON objects go there, one a line, each with an ``event``: ``stage``, ``step``, ``image``, ``done``,
``error`` or ``died``. Lava and netx print on stdout as they please. Standard input is a pipe that the parent holds open
as long as it lives.

When each layer works on each image is said in ``deploy/plan.py``.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import signal
import sys
import time
import traceback
import types
import warnings
from pathlib import Path
from typing import Any

SLICE_SECONDS = 0.25  # aim for the time between two progress events while running


class LatentsError(ValueError):
    """The latents do not fit the network."""


def load_neighbour(name: str) -> types.ModuleType:
    """The file ``name`` beside this one, under a module name that cannot clash with anything installed here."""
    spec = importlib.util.spec_from_file_location(f"_esvae_lava_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {name}.py beside {__file__}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def process_names(executable: Any, labels: dict[int, str]) -> list[str]:
    """A name for each process that Lava's runtime starts, in the order in which it does."""
    from lava.magma.compiler.builders.py_builder import PyProcessBuilder

    names = []
    for process, builder in executable.proc_builders.items():
        if isinstance(builder, PyProcessBuilder):
            names.append(f"{labels.get(id(process), process.name)} ({type(process).__name__})")
    return names + [f"runtime service of {domain.name}" for domain in executable.runtime_service_builders]


def fitted(latents: Any, shape: tuple[int, ...]) -> Any:
    """Spikes as Lava's source takes them: int32, ``(*shape, images * steps)``, for Lava's (W, H, C) or (features,).

    Features and ``(C, H, W)`` are two views of the same order, as a flatten layer has it.
    """
    import numpy as np

    wanted, sample = tuple(reversed(shape)), latents.shape[2:]
    if np.prod(sample) != np.prod(wanted) or (len(sample) == len(wanted) and sample != wanted):
        raise LatentsError(f"latents have {sample} values a step, the network's input is {wanted}")
    return latents.reshape(-1, *wanted).transpose().astype(np.int32)


def exact(values: Any, what: str) -> Any:
    """``values`` as int32, having made sure that they are whole numbers."""
    import numpy as np

    whole = np.asarray(values).astype(np.int32)
    if not np.array_equal(whole, values):
        raise ArithmeticError(f"{what}: Lava gave a value that is not an integer of 32 bits")
    return whole


def make_source(job: dict[str, Any], native: types.ModuleType) -> Any:
    """A function from the shape of the input to the process that sends spikes into it, and its label."""
    import numpy as np

    def make(shape: tuple[int, ...], node: dict[str, Any] | None = None) -> tuple[Any, dict[int, str]]:
        about = node or {"first": 1, "counted": False}
        if job["sampler"] is not None:
            given = job["sampler"]
            process = native._process("sampler", "PoissonSampler")(
                states=np.load(given["states"]),
                codes=np.load(given["codes"]),
                counted=about["counted"],
                shape=shape,
                steps=job["steps"],
                rate_bits=given["rate_bits"],
                taps=given["taps"],
                first=about["first"],
            )
            return process, {id(process): "sampler"}
        from lava.proc.io.source import RingBuffer

        spikes = np.zeros((*shape, job["total"]), np.int32)  # the source is cyclic: pad with silence
        start = about["first"] - 1
        spikes[..., start : start + job["images"] * job["steps"]] = fitted(np.load(job["latents"]), shape)
        process = RingBuffer(data=spikes)
        return process, {id(process): "spike source"}

    return make


def add_readout(job: dict[str, Any], made: dict[str, Any], native: types.ModuleType) -> dict[int, str]:
    """Connects a readout to the last layer, which writes v of each image's last step to a file; gives its label."""
    import numpy as np

    _, neuron, first = made["layers"][-1]
    record = str(Path(job["scratch"], "readout.npy"))
    np.lib.format.open_memmap(record, mode="w+", dtype=np.int64, shape=(job["images"], *neuron.v.shape)).flush()
    readout = native._process("readout", "Readout")(
        shape=neuron.v.shape, steps=job["steps"], first=first, record=record
    )
    readout.v.connect_var(neuron.v)
    made["readout"] = readout  # held, so that it lives as long as the network
    return {id(readout): "readout"}


def add_monitors(layers: list[Any], total: int, scratch: Path) -> tuple[dict[Any, Any], dict[int, str], list[Any]]:
    """Puts Lava's Monitors on u, v and s_out of every layer; gives the model to run them under, and their labels.

    The Monitor process is Lava's; the model here writes each step straight to a memory-mapped ``.npy`` of shape
    ``(total, *layer)``. Lava's own model keeps the record in a Var, and reading a Var costs 15 microseconds a number:
    31 s instead of none for two images of a five-layer network.
    """
    import numpy as np
    from lava.proc.monitor.models import PyMonitorModel
    from lava.proc.monitor.process import Monitor

    class FileMonitorModel(PyMonitorModel):  # type: ignore[misc]
        def __init__(self, proc_params: Any) -> None:
            super().__init__(proc_params)
            self.record = np.lib.format.open_memmap(proc_params["record"], mode="r+")
            self.of_state = proc_params["n_ref_ports"] > 0

        def post_guard(self) -> bool:
            return bool(self.of_state)

        def run_post_mgmt(self) -> None:
            self.record[self.time_step - 1] = self.ref_port_0.read()

        def run_spk(self) -> None:
            if not self.of_state:
                self.record[self.time_step - 1] = self.in_port_0.recv()

    labels, monitors = {}, []
    for name, process, _ in layers:
        for quantity in quantities(process):
            target = process.s_out if quantity == "s" else getattr(process, quantity)
            record = str(scratch / f"{name}.{quantity}.npy")
            np.lib.format.open_memmap(record, mode="w+", dtype=np.int64, shape=(total, *target.shape)).flush()
            monitor = Monitor()
            monitor.probe(target, 1)
            monitor.proc_params["record"] = record
            labels[id(monitor)] = f"monitor of {name} {quantity}"
            monitors.append(monitor)
    return {Monitor: FileMonitorModel}, labels, monitors


def quantities(process: Any) -> str:
    """What of a process is recorded: neurons have states, a sampler only spikes."""
    return "uvs" if hasattr(process, "v") else "s"


def collected(layers: list[Any], images: int, steps: int, scratch: Path, messages: Any) -> dict[str, Any]:
    """The records by image, aligned by sample: ``(images, steps, C, H, W)`` or ``(images, steps, features)``."""
    import numpy as np

    arrays = {}
    for layer, process, first in layers:
        for quantity in quantities(process):
            record = np.load(scratch / f"{layer}.{quantity}.npy", mmap_mode="r")
            window = exact(record[first - 1 : first - 1 + images * steps], f"{layer} {quantity}")
            turned = window.transpose(0, *range(window.ndim - 1, 0, -1)).reshape(images, steps, *window.shape[:0:-1])
            arrays[f"{layer}.{quantity}"] = turned.astype(np.uint8) if quantity == "s" else turned
        messages.send("step")
    return arrays


def run_images(made: dict[str, Any], job: dict[str, Any], messages: Any) -> Any:
    """Runs to the end, with an event every few time steps; v of the last layer as each image's window closes."""
    import numpy as np
    from lava.magma.core.run_conditions import RunSteps

    _, neuron, first = made["layers"][-1]
    by_process = "readout" in made
    readout, done, count = [], 0, 1
    for image in range(job["images"]):
        end = (image + 1) * job["steps"] + first - 1
        while done < end:
            # Without a readout process Lava has to stop where each image ends, for its potential to be read
            count = min(count, (job["total"] if by_process else end) - done)
            since = time.perf_counter()
            made["main"].run(RunSteps(count))
            done += count
            messages.send("step", done=done)
            count = max(1, int(count * min(8.0, SLICE_SECONDS / (time.perf_counter() - since))))
        if not by_process:
            readout.append(exact(neuron.v.get(), "readout").transpose())
        messages.send("image", image=image + 1)
    if by_process:
        record = exact(np.load(Path(job["scratch"], "readout.npy")), "readout")
        return record.transpose(0, *range(record.ndim - 1, 0, -1))
    return np.stack(readout)


def package_versions() -> dict[str, str]:
    """Of what decides the numbers."""
    import numpy as np

    found = {"python": platform.python_version(), "numpy": np.__version__}
    for name in ("lava-nc", "lava-dl"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def run(job: dict[str, Any], messages: Any, watcher: types.ModuleType) -> None:
    """Builds, compiles, runs, and leaves the result where the job wants it."""
    import numpy as np

    scratch, result = Path(job["scratch"]), Path(job["result"])
    native = load_neighbour("native")
    loader = native if job["loader"] == "native" else load_neighbour("stock")
    target = load_neighbour("loihi2") if job["target"] == "loihi2" else None
    known = loader.look_at(job)
    versions = package_versions()
    # Lava's compiler warns of each file beside a process that it cannot import in its search for models
    warnings.filterwarnings("ignore", message="Cannot import module")
    with loader.imports(known, versions):
        from lava.magma.core.run_configs import Loihi2SimCfg

        messages.enter("building", versions=versions, allow=known["allow"])
        if target is not None:
            target.check_installed()
        made = loader.build(job, known, make_source(job, native), target)
        labels = made["labels"] | (add_readout(job, made, native) if job["readout"] else {})
        models, more, monitors = add_monitors(made["layers"], job["total"], scratch) if job["trace"] else ({}, {}, [])

        messages.enter("compiling", allow=known["allow"])
        if target is not None:
            config = target.run_config(models)
        else:
            config = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models)
        profile = target.start_profiler(config, job) if target is not None else None
        executable = made["main"].compile(config)
    watch = watcher.Watch(messages, made["main"], process_names(executable, labels | more))
    watch.start()
    try:
        made["main"].create_runtime(executable=executable)
        messages.enter("running", processes=watch.pids(), images=job["images"], total=job["total"])
        readout = run_images(made, job, messages)
    except Exception:
        watch.report()  # says more, if it was one of Lava's processes that failed
        raise
    watch.quiet.set()
    messages.enter("collecting")
    arrays = collected(made["layers"], job["images"], job["steps"], scratch, messages) if job["trace"] else {}
    temporary = result.with_name(f".{result.name}.part")
    with temporary.open("wb") as handle:
        np.savez(handle, readout=readout, **arrays)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(result)
    measured = target.measured(profile) if target is not None else {}
    messages.enter("stopping")
    messages.send("done", seconds=messages.seconds, measured=measured)
    made["main"].stop()
    del monitors


def main(job_file: str, descriptor: int) -> None:
    """Runs the job; leaves with status 0 once the result is delivered and Lava has stopped, else with 1."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]

    def close_in_child() -> None:
        with contextlib.suppress(OSError):
            os.close(descriptor)

    os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=close_in_child)
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    guard = load_neighbour("group").start_guard(os.getppid(), sys.stdin.fileno(), job["scratch"])
    watcher = load_neighbour("watch")
    messages = watcher.Messages(descriptor, "importing")
    try:
        run(job, messages, watcher)
    except Exception as error:
        number = getattr(error, "errno", None)
        told = traceback.format_exc()
        messages.send("error", type=type(error).__name__, message=str(error), errno=number, traceback=told)
        watcher.finish(1)
    with contextlib.suppress(OSError):
        os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)
    watcher.finish(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
