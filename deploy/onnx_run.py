"""Running an integer network in ONNX Runtime, on its CPU provider: the graph that ``--onnx`` writes, from memory.

Images go through in chunks that fit a given memory; the integers do not depend on how many.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from esvae.errors import ConfigError
from export.ir import Network
from export.onnx.integer import integer_model
from sim.stimulus import Stimulus, Timing
from sim.trace import trace_writer

__all__ = ["check_timing", "load_onnxruntime", "run_onnx", "session"]

#: Bytes that a chunk of images may take, beside the weights.
_MEMORY = 1 << 28
#: Bytes that ONNX Runtime holds at once for a neuron and step of the widest layer: spikes that enter and leave, two
#: parts of the sums and their copies; and with traces for one of any layer: u, v and s, twice.
_HELD, _TRACED = 24, 18


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


def check_timing(timing: Timing) -> None:
    """Raises ConfigError unless time is what an ONNX file models: aligned by sample, each image from rest."""
    if timing != Timing():
        raise ConfigError(
            "--backend onnx runs each image from rest, aligned by sample; --reset-interval, --reset-offset and "
            "--stagger need --backend twin, reference or lava"
        )


def session(model: Any) -> Any:
    """An inference session of a model, on as many threads as torch has."""
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; they are raised as well
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_onnx(
    network: Network,
    stimulus: Stimulus,
    *,
    trace: bool = False,
    trace_file: str | os.PathLike[str] | None = None,
    memory: int = _MEMORY,
    progress: Callable[[float, str], None] = lambda share, text: None,
    about: dict[str, str] | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray] | None]:
    """Runs a stimulus through the integer network's ONNX graph.

    Args:
        network: any that this project models.
        stimulus: that fits it (see :func:`sim.stimulus.as_stimulus`), without resets or staggered time.
        trace: also give the states of every layer after every step.
        trace_file: write them to this ``.npz`` or ``.h5`` file, chunk by chunk.
        memory: bytes that a chunk may take; one image is run whatever it takes.
        progress: called with a share of the work done, 0 to 1, and what is being done.
        about: gets the version numbers of what ran it.

    Returns:
        Potentials of the last layer after the last step, int32 ``(images, *layer shape)``, and named traces or None.

    Raises:
        ConfigError: ``onnx`` or ONNX Runtime is not installed, or the timing is not modelled.
        NetFileError: the weights do not fit one ONNX file.
    """
    check_timing(stimulus.timing)
    runtime = load_onnxruntime()
    traced = trace or trace_file is not None
    model = integer_model(network, steps=stimulus.steps, traces=traced)
    if about is not None:
        import onnx

        about.update({"onnxruntime": runtime.__version__, "onnx": onnx.__version__})
    size = max(1, memory // _held(network, stimulus.steps, traced))
    ends, kept = [], []
    with contextlib.ExitStack() as stack:
        write = None if trace_file is None else stack.enter_context(trace_writer(trace_file, len(stimulus)))
        for found in _chunks(session(model), stimulus, size, progress):
            ends.append(found.pop("potentials"))
            found.pop("image", None)
            if write is not None:
                write(found)
            if trace:
                kept.append(found)
    traces = {name: np.concatenate([piece[name] for piece in kept]) for name in kept[0]} if trace else None
    return np.concatenate(ends), traces


def _chunks(
    ready: Any, stimulus: Stimulus, size: int, progress: Callable[[float, str], None]
) -> Iterator[dict[str, np.ndarray]]:
    names = [output.name for output in ready.get_outputs()]
    for start in range(0, len(stimulus), size):
        part = stimulus.part(start, start + size)
        entering = {"pixels": part.images} if part.spikes is None else {"spikes": part.spikes}
        yield dict(zip(names, ready.run(names, entering), strict=True))
        progress(min(start + size, len(stimulus)) / len(stimulus), "ONNX Runtime")


def _held(network: Network, steps: int, traced: bool) -> int:
    """Bytes that one image takes."""
    sizes = [math.prod(shape) for shape in (network.input_shape, *network.shapes)]
    return steps * (_HELD * max(sizes) + (_TRACED * sum(sizes) if traced else 0))
