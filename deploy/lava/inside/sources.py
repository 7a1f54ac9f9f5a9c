"""The process that sends spikes into a graph: a recording of them, or the sampler."""

from __future__ import annotations

from typing import Any

from .messages import GraphWork, LatentsError, WindowsWork

__all__ = ["fitted", "source"]


def fitted(spikes: Any, shape: tuple[int, ...]) -> Any:
    """Spikes as Lava's source takes them: int32, ``(*shape, images * steps)``, for Lava's (W, H, C) or (features,).

    Features and ``(C, H, W)`` are two views of the same order, as a flatten layer has it.

    Args:
        spikes: ``(images, steps, *sample)``.
        shape: of the network's input, in Lava's axis order.

    Raises:
        LatentsError: they do not fit.
    """
    import numpy as np

    wanted, sample = tuple(reversed(shape)), spikes.shape[2:]
    if np.prod(sample) != np.prod(wanted) or (len(sample) == len(wanted) and sample != wanted):
        raise LatentsError(f"latents have {sample} values a step, the network's input is {wanted}")
    return spikes.reshape(-1, *wanted).transpose().astype(np.int32)


def source(
    work: WindowsWork | GraphWork, shape: tuple[int, ...], total: int, *, first: int = 1, counted: bool = False
) -> tuple[Any, str]:
    """The process, and what to call it in messages.

    Args:
        work: with ``spikes`` or ``sampler``.
        shape: of the spikes of one step, in Lava's axis order.
        total: time steps to run.
        first: time step, from 1, at which the first image starts.
        counted: the sampler's rate codes come from another process.

    Raises:
        LatentsError: spikes that do not fit.
    """
    import numpy as np

    if work.sampler is not None:
        from .processes.sampler import RateSampler

        given = work.sampler
        sampler = RateSampler(
            states=np.load(given.states),
            codes=None if counted else np.load(given.codes),
            shape=shape,
            steps=work.steps,
            rate_bits=given.rate_bits,
            taps=given.taps,
            systematic=given.systematic,
            first=first,
        )
        return sampler, "sampler"
    from lava.proc.io.source import RingBuffer

    if work.spikes is None:
        raise LatentsError("there are neither spikes nor a sampler")
    data = np.zeros((*shape, total), np.int32)  # the source is cyclic: pad with silence
    data[..., first - 1 : first - 1 + work.images * work.steps] = fitted(np.load(work.spikes), shape)
    return RingBuffer(data=data), "spike source"
