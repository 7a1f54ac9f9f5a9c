"""Import of the reference implementation's checkpoints (QgZhan/ESVAE): its names and layouts, to ours.

======================================  ==========================================================================
there                                   here
======================================  ==========================================================================
``encoder.N``                           ``encoder.layers.N``, kernels without their time axis of depth 1
``before_latent_layer``                 ``encoder.latent``
``sample_layer.0``                      ``prior.bottleneck``
``decoder_input``                       ``decoder.layers.0``
``decoder.N``                           ``decoder.layers.N+1``
``final_layer.0``                       the last of ``decoder.layers``
``final_layer.1``                       ``decoder.readout``: a transposed convolution of stride 1 there, so flipped
``X.bn``                                ``X.norm``
``membrane_output_layer.coef``          its length is the number of time steps
``prior``, ``posterior``                not used there either
======================================  ==========================================================================
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from esvae.config import Config, DataName, config_from_dict
from esvae.errors import CheckpointError, ConfigError
from esvae.machine.torch_archive import Foreign, read_torch_archive
from esvae.model import ESVAE

__all__ = ["import_official"]

_UNUSED = ("prior.", "posterior.")
_NORM = ("weight", "bias", "running_mean", "running_var")
_GREY, _COLOUR, _LARGE = "mnist", "cifar10", "celeba"  # what images of such sizes and channels are in the paper


def import_official(path: str | os.PathLike[str], *, data: DataName | None = None) -> ESVAE:
    """Reads a state dict of the reference implementation, small (32x32) or large (64x64).

    Args:
        path: as ``torch.save(network.state_dict(), path)`` wrote it, or a checkpoint that holds one state dict
            beside other things, as Lightning's do, whose names may have a prefix; nothing in it runs.
        data: the data set that it was trained on; guessed from the images' size and channels where None.

    Returns:
        The model, in evaluation mode.

    Raises:
        CheckpointError: no such file, no state dict, or entries that are missing, unknown or of another shape.
    """
    path = Path(path)
    state = _read(path)
    try:
        config = _config(state, data)
    except (KeyError, IndexError, TypeError, ValueError, ConfigError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(f"{path}: not an official ESVAE state dict: {reason}") from None
    model = ESVAE(config)
    wanted = model.state_dict()
    found: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if not name.startswith(_UNUSED) and not name.endswith("num_batches_tracked") and name != _COEF:
            ours = _renamed(name, len(config.model.encoder_channels))
            if ours is None or ours not in wanted:
                raise CheckpointError(f"{path}: '{name}' is not part of an official ESVAE")
            found[ours] = _laid_out(name, value)
    for name, value in wanted.items():
        if name not in found:
            raise CheckpointError(f"{path}: nothing in it for '{name}'; is it a whole ESVAE's state dict?")
        if found[name].shape != value.shape:
            raise CheckpointError(
                f"{path}: what belongs to '{name}' has shape {tuple(found[name].shape)}, expected {tuple(value.shape)}"
            )
        if not torch.isfinite(found[name]).all():
            raise CheckpointError(f"{path}: what belongs to '{name}' holds values that are not finite")
    model.load_state_dict(found)
    return model.eval()


_COEF = "membrane_output_layer.coef"
#: A name by which to tell what a wrapper, such as Lightning's, put before all of them.
_FIRST = "encoder.0.weight"


def _read(path: Path) -> dict[str, torch.Tensor]:
    state = read_torch_archive(path)
    if isinstance(state, dict):  # a checkpoint that holds the state dict beside other things
        inner = [value for value in state.values() if isinstance(value, dict) and _are_tensors(value)]
        state = inner[0] if len(inner) == 1 else state
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise CheckpointError(f"{path}: not a state dict; save the network with torch.save(network.state_dict(), ...)")
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            kind = value.name if isinstance(value, Foreign) else type(value).__name__
            raise CheckpointError(
                f"{path}: not a state dict: '{name}' is {kind}, expected a dense tensor; save the network with "
                "torch.save(network.state_dict(), ...)"
            )
    prefix = next((name.removesuffix(_FIRST) for name in state if name.endswith(_FIRST)), "module.")
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _are_tensors(values: dict[Any, Any]) -> bool:
    return bool(values) and all(isinstance(value, torch.Tensor) for value in values.values())


def _config(state: dict[str, torch.Tensor], data: DataName | None) -> Config:
    """What the shapes say."""
    depth = sum(name.startswith("encoder.") and name.endswith(".weight") and ".bn." not in name for name in state)
    channels = [len(state[f"encoder.{index}.weight"]) for index in range(depth)]
    if not channels:
        raise KeyError("encoder.0.weight")
    image_channels, size = state["encoder.0.weight"].shape[1], 2 << depth
    guess = _LARGE if size >= 64 else _COLOUR if image_channels == 3 else _GREY
    content = {
        "name": "official",
        "data": {"name": data or guess, "image_size": size, "image_channels": image_channels},
        "model": {
            "latent": len(state["before_latent_layer.weight"]),
            "time_steps": state[_COEF].numel(),
            "encoder_channels": channels,
            "decoder": {
                "kind": "transposed",
                "base_size": 2,
                "channels": [*channels[::-1], len(state["final_layer.0.bias"])],
            },
            "sampling_gradient": "rectangular",
        },
    }
    return config_from_dict(content, "its shapes")


def _renamed(name: str, depth: int) -> str | None:
    """Our name, or None."""
    layer, _, rest = name.rpartition(".bn.")
    part = f"norm.{rest}" if layer else f"synapse.{name.rpartition('.')[2]}"
    if layer and rest not in _NORM:
        return None
    layer = layer or name.rpartition(".")[0]
    kind, _, number = layer.partition(".")
    plain = name.rpartition(".")[2]
    if layer == "sample_layer.0":
        return f"prior.bottleneck.{plain}"
    if layer == "final_layer.1":
        return f"decoder.readout.{plain}"
    places = {
        "encoder": f"encoder.layers.{number}",
        "before_latent_layer": "encoder.latent",
        "decoder_input": "decoder.layers.0",
        "final_layer": f"decoder.layers.{depth}",
    }
    if kind == "decoder" and number.isdigit():
        return f"decoder.layers.{int(number) + 1}.{part}"
    return f"{places[kind]}.{part}" if kind in places else None


def _laid_out(name: str, value: torch.Tensor) -> torch.Tensor:
    """Without the time axis; the last transposed convolution, of stride 1, as the convolution that it is."""
    if value.ndim != 5:
        return value
    if value.shape[-1] != 1:
        raise CheckpointError(f"'{name}' has a kernel of depth {value.shape[-1]} in time, expected 1")
    kernel = value[..., 0]
    return kernel.transpose(0, 1).flip(2, 3) if name.startswith("final_layer.1.") else kernel
