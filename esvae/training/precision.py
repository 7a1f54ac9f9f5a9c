"""Which arithmetic a training takes where it may choose: what the processor is fastest with."""

from __future__ import annotations

import torch
from llvmlite.binding import get_host_cpu_features

from esvae.config import Config

__all__ = ["settled_precision"]

#: Instructions that multiply bfloat16, as LLVM names them, and as they are known.
_BFLOAT16 = {"amx-bf16": "AMX", "avx512bf16": "AVX512-BF16"}


def settled_precision(config: Config, *, gpu: bool) -> tuple[Config, str]:
    """The config with ``train.precision: auto`` replaced by what is faster on this machine, and why.

    Always the same on one machine, as nothing is timed: ``bf16-mixed`` where the processor, or the GPU, multiplies
    bfloat16 in hardware, else ``32``.

    Args:
        config: as it was written; given back as it is unless its precision is ``auto``.
        gpu: whether it is going to be trained on one.

    Returns:
        The config, and what to tell of the choice; nothing where there was none.
    """
    if config.train.precision != "auto":
        return config, ""
    if gpu:
        half, why = torch.cuda.is_available() and torch.cuda.is_bf16_supported(), "bfloat16 on this GPU"
    else:
        features = get_host_cpu_features()
        names = [name for feature, name in _BFLOAT16.items() if features.get(feature)]
        half, why = bool(names), f"bfloat16 by this processor's {', '.join(names)}"
    taken = "bf16-mixed" if half else "32"
    reason = f"precision {taken}: {why if half else 'nothing here multiplies bfloat16 faster'}"
    return config.model_copy(update={"train": config.train.model_copy(update={"precision": taken})}), reason
