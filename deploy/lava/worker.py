"""Runs one ``.net`` file in Lava; started as a script, by path, inside the interpreter that has lava-dl.

The only file of the project that imports lava. Of the project it loads but its neighbours ``group.py`` and
``watch.py``, by path; beyond that it needs the standard library, numpy and h5py.

Call: ``python worker.py JOB.json DESCRIPTOR``. The job holds ``net``, ``latents`` (an ``.npy`` of 0/1, shape
``(images, steps, features)`` or ``(images, steps, C, H, W)``), ``trace``, ``sparse``, ``result`` and ``scratch`` (a
folder). The descriptor is a pipe's write end: JSON objects go there, one a line, each with an ``event``: ``stage``,
``step``, ``image``, ``done``, ``error`` or ``died``. Lava and netx print on stdout as they please. Standard input is
a pipe that the parent holds open as long as it lives.

Lava's time, as netx builds it: with the source's step t counted from 1, layer k (from 0) works on a sample's step t at
time step ``t + k + 1``, since every synapse holds its sums back by one step. ``reset_interval=T, reset_offset=1``
resets each layer at the first step of its window, so N images of T steps run back to back in ``N * T + depth`` steps.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LAVA_DL_VERSION = "0.6.0"  # the release whose imports `deferred_imports` knows
LIF_NAMES = ("LOIHI", "CUBA")  # what netx calls the neuron types that it builds as LIF
SLICE_SECONDS = 0.25  # aim for the time between two progress events while running
LOAD_SECONDS_PER_WEIGHT = 5e-7  # generous: stock netx was measured at about 1.3e-7


class LatentsError(ValueError):
    """The latents do not fit the network."""


class NetError(ValueError):
    """The ``.net`` file cannot be read."""


class UnsupportedError(ValueError):
    """The network holds something that this worker does not run."""


def load_neighbour(name: str) -> types.ModuleType:
    """The file ``name`` beside this one, under a module name that cannot clash with anything installed here."""
    spec = importlib.util.spec_from_file_location(f"_esvae_lava_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {name}.py beside {__file__}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def look_at(net_file: str) -> dict[str, Any]:
    """What must be known before netx reads the file: its input, its weights' number, whether all neurons are LIF."""
    import h5py

    def text(dataset: Any) -> str:
        value = dataset[0] if dataset.shape else dataset[()]
        return value.decode("ascii") if isinstance(value, bytes) else str(value)

    found: dict[str, Any] = {"weights": 0, "lif_only": True, "input_shape": False, "input_neuron": False}
    try:
        with h5py.File(net_file, "r") as file:
            layers = file["layer"]
            for layer in layers.values():
                if isinstance(layer.get("weight"), h5py.Dataset):
                    found["weights"] += layer["weight"].size
                if "neuron" in layer:
                    found["lif_only"] &= text(layer["neuron/type"]) in LIF_NAMES
            if "0" in layers and text(layers["0/type"]) == "input":
                found["input_shape"] = "shape" in layers["0"]
                found["input_neuron"] = "neuron" in layers["0"]
    except (OSError, KeyError, AttributeError, TypeError, UnicodeDecodeError) as error:
        raise NetError(str(error).strip("'\"")) from error
    return found


@contextlib.contextmanager
def deferred_imports(apply: bool) -> Iterator[None]:
    """Lets netx load and compile LIF networks without importing lava-dl's training half (slayer) and torch.

    netx needs slayer for the parameters of resonate-and-fire neurons alone, and torch for stream utilities that no
    network uses, yet imports both, and Lava's compiler then executes every file of the netx folder once more. For the
    time of this context empty modules stand in for them; what they hold is never called for LIF networks. No code that
    builds or runs the network is touched. Measured: 5 s become 1 s for a small network.
    """
    if not apply:
        yield
        return
    import lava

    stand_ins: dict[str, Any] = {"torch": None}  # None makes an import raise; the compiler then passes the file over
    for name in ("dl.slayer", "dl.slayer.neuron", "dl.slayer.neuron.rf", "dl.netx.sequential_modules"):
        module = types.ModuleType(f"lava.lib.{name}")
        # the compiler asks every module beside netx for its file
        module.__file__ = str(Path(next(iter(lava.__path__)), "lib", *name.split(".")).with_suffix(".py"))
        stand_ins[module.__name__] = module
    stand_ins["lava.lib.dl.slayer.neuron.rf"].neuron_params = None
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if name in sys.modules and sys.modules[name] is stand_in:
                del sys.modules[name]


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


def add_monitors(network: Any, total: int, scratch: Path) -> tuple[dict[Any, Any], dict[int, str]]:
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

    labels = {}
    for index, layer in enumerate(network.layers):
        for name, target in (("u", layer.neuron.u), ("v", layer.neuron.v), ("s", layer.neuron.s_out)):
            record = str(scratch / f"layer{index}.{name}.npy")
            np.lib.format.open_memmap(record, mode="w+", dtype=np.int64, shape=(total, *target.shape)).flush()
            monitor = Monitor()
            monitor.probe(target, 1)
            monitor.proc_params["record"] = record
            labels[id(monitor)] = f"monitor of layer {index} {name}"
    return {Monitor: FileMonitorModel}, labels


def collected(layers: int, images: int, steps: int, scratch: Path, messages: Any) -> dict[str, Any]:
    """The records by image, aligned by sample: ``(images, steps, C, H, W)`` or ``(images, steps, features)``."""
    import numpy as np

    arrays = {}
    for index in range(layers):
        for name in "uvs":
            record = np.load(scratch / f"layer{index}.{name}.npy", mmap_mode="r")
            window = exact(record[index + 1 : index + 1 + images * steps], f"layer {index} {name}")
            turned = window.transpose(0, *range(window.ndim - 1, 0, -1)).reshape(images, steps, *window.shape[:0:-1])
            arrays[f"layer{index}.{name}"] = turned.astype(np.uint8) if name == "s" else turned
        messages.send("step")
    return arrays


def run_images(network: Any, images: int, steps: int, messages: Any) -> Any:
    """Runs to the end, with an event every few time steps; v of the last layer as each image's window closes."""
    import numpy as np
    from lava.magma.core.run_conditions import RunSteps

    readout, done, count = [], 0, 1
    for image in range(images):
        end = (image + 1) * steps + len(network.layers)
        while done < end:
            count = min(count, end - done)
            since = time.perf_counter()
            network.run(RunSteps(count))
            done += count
            messages.send("step", done=done)
            count = max(1, int(count * min(8.0, SLICE_SECONDS / (time.perf_counter() - since))))
        readout.append(exact(network.out_layer.neuron.v.get(), "readout").transpose())
        messages.send("image", image=image + 1)
    return np.stack(readout)


def run(job: dict[str, Any], messages: Any, watcher: types.ModuleType) -> None:
    import numpy as np

    latents = np.load(job["latents"])
    images, steps = latents.shape[:2]
    scratch, result = Path(job["scratch"]), Path(job["result"])
    known = look_at(job["net"])
    versions = {name: importlib.metadata.version(name) for name in ("lava-nc", "lava-dl")}
    versions |= {"python": platform.python_version(), "numpy": np.__version__}
    # Lava's compiler warns of each file beside a process that it cannot import in its search for models
    warnings.filterwarnings("ignore", message="Cannot import module")
    with deferred_imports(known["lif_only"] and versions["lava-dl"] == LAVA_DL_VERSION):
        from lava.lib.dl.netx import hdf5
        from lava.magma.core.run_configs import Loihi2SimCfg
        from lava.proc.io.source import RingBuffer
        from lava.proc.lif.process import LIFReset

        allow = known["weights"] * LOAD_SECONDS_PER_WEIGHT
        messages.enter("building", versions=versions, allow=allow)
        if known["input_neuron"]:
            raise UnsupportedError("layer 0 (input) has a neuron, which netx drives by its bias: spikes cannot go in")
        shape = tuple(int(size) for size in latents.shape[:1:-1])
        given = None if known["input_shape"] else shape if len(shape) == 3 else (1, 1, *shape)
        network = hdf5.Network(
            job["net"], input_shape=given, reset_interval=steps, reset_offset=1, sparse_fc_layer=job["sparse"]
        )
        for index, layer in enumerate(network.layers):
            if not isinstance(layer.neuron, LIFReset):
                raise UnsupportedError(f"layer {index} has a {type(layer.neuron).__name__} neuron, expected LIF")
        depth = len(network.layers)
        total = images * steps + depth
        spikes = np.zeros((*network.inp.shape, total), np.int32)  # the source is cyclic: pad with silence
        spikes[..., : images * steps] = fitted(latents, network.inp.shape)
        source = RingBuffer(data=spikes)
        source.s_out.connect(network.inp)
        labels = {id(source): "spike source"}
        for index, layer in enumerate(network.layers):
            labels |= {id(layer.neuron): f"layer {index} neuron", id(layer.synapse): f"layer {index} synapse"}
        models, more = add_monitors(network, total, scratch) if job["trace"] else ({}, {})

        messages.enter("compiling", allow=allow)
        executable = network.compile(Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models))
    watch = watcher.Watch(messages, network, process_names(executable, labels | more))
    watch.start()
    try:
        network.create_runtime(executable=executable)
        messages.enter("running", processes=watch.pids(), images=images, total=total)
        readout = run_images(network, images, steps, messages)
    except Exception:
        watch.report()  # says more, if it was one of Lava's processes that failed
        raise
    watch.quiet.set()
    messages.enter("collecting")
    arrays = collected(depth, images, steps, scratch, messages) if job["trace"] else {}
    temporary = result.with_name(f".{result.name}.part")
    with temporary.open("wb") as handle:
        np.savez(handle, readout=readout, **arrays)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(result)
    messages.enter("stopping")
    messages.send("done", seconds=messages.seconds)
    network.stop()


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
        messages.send("error", type=type(error).__name__, message=str(error), traceback=traceback.format_exc())
        watcher.finish(1)
    with contextlib.suppress(OSError):
        os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)
    watcher.finish(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
