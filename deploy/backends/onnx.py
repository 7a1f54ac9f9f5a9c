"""ONNX Runtime, on its CPU provider: the graph that ``--onnx`` writes, from memory.

Images go through in chunks that fit a given memory; the integers do not depend on how many.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import numpy as np
import torch

from deploy.backends.job import BackendJob, BackendRun, kept_traces
from esvae.errors import ConfigError
from export.ir import Network
from export.onnx.integer import integer_model
from sim.stimulus import Timing

__all__ = ["OnnxRuntime", "load_onnxruntime", "session"]

#: Bytes that a chunk of images may take, beside the weights.
_MEMORY = 1 << 28
#: Bytes that ONNX Runtime holds at once for a neuron and step of the widest layer: spikes that enter and leave, two
#: parts of the sums and their copies; and with traces for one of any layer: u, v and s, twice.
_HELD, _TRACED = 24, 18


class OnnxRuntime:
    """Runs whole windows from rest, each image by itself, which is all that an ONNX file models.

    Args:
        memory: bytes that a chunk may take; one image is run whatever it takes.
    """

    heeds: frozenset[str] = frozenset()

    def __init__(self, memory: int = _MEMORY) -> None:
        self._memory = memory

    def missing(self) -> str | None:
        try:
            metadata.version("onnxruntime")
        except metadata.PackageNotFoundError:
            return "onnxruntime is not installed; pip install 'esvae-loihi[onnx]'"
        return None

    def check(self, job: BackendJob) -> None:
        """Refuses resets and staggered time."""
        if job.entering.timing != Timing():
            raise ConfigError(
                "--backend onnx runs each image from rest, aligned by sample; --reset-interval, --reset-offset and "
                "--stagger need --backend twin, reference or lava"
            )

    def run(self, job: BackendJob) -> BackendRun:
        """Runs it.

        Raises:
            ConfigError: ``onnx`` or ONNX Runtime is not installed.
            DataError: a stimulus that does not fit.
            NetFileError: the weights do not fit one ONNX file.
        """
        runtime, steps = load_onnxruntime(), job.stimulus.steps
        model = integer_model(job.network, steps=steps, traces=job.traced)
        import onnx  # there, or integer_model would have said so

        size = max(1, self._memory // _held(job.network, steps, job.traced))
        ends = []
        with kept_traces(job) as keeper:
            for found in _chunks(session(model), job, size):
                ends.append(found.pop("potentials"))
                found.pop("image", None)
                keeper.add(found)
        about = {"onnxruntime": runtime.__version__, "onnx": onnx.__version__}
        return BackendRun(np.concatenate(ends), keeper.kept, about)


def load_onnxruntime() -> Any:
    """The ``onnxruntime`` package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(f"ONNX Runtime is not installed ({error}); run: pip install 'esvae-loihi[onnx]'") from None
    return onnxruntime


def session(model: Any) -> Any:
    """An inference session of a model, on as many threads as torch has."""
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; they are raised as well
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _chunks(ready: Any, job: BackendJob, size: int) -> Iterator[dict[str, np.ndarray]]:
    names, stimulus = [output.name for output in ready.get_outputs()], job.stimulus
    for start in range(0, len(stimulus), size):
        part = stimulus.part(start, start + size)
        name = "spikes" if part.spikes is not None else "frames" if part.framed else "pixels"
        entering = {name: np.ascontiguousarray(part.values)}
        yield dict(zip(names, ready.run(names, entering), strict=True))
        job.report(min(start + size, len(stimulus)) / len(stimulus), "ONNX Runtime")


def _held(network: Network, steps: int, traced: bool) -> int:
    """Bytes that one image takes."""
    sizes = [math.prod(shape) for shape in (network.input_shape, *network.shapes)]
    return steps * (_HELD * max(sizes) + (_TRACED * sum(sizes) if traced else 0))
