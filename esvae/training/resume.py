"""Going on from a checkpoint: what it must hold for that, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from esvae.errors import CheckpointError
from esvae.machine.tensors import check_state
from esvae.run import checked_record

__all__ = ["Progressed", "continued", "epochs_without_gain", "optimizer_state"]

#: What the optimizer keeps of a parameter: its steps, and two averages of the parameter's shape.
_KEPT = {"step", "exp_avg", "exp_avg_sq"}


@dataclass
class Progressed:
    """How far a training is.

    Attributes:
        step: steps done.
        history: records of the epochs.
        weights_epoch: whose weights are the run's.
    """

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    weights_epoch: int = 0


def continued(model: torch.nn.Module, state: dict[str, Any], fingerprint: dict[str, Any], path: Path) -> Progressed:
    """Puts a checkpoint's weights into the model.

    Raises:
        CheckpointError: it is of another training, or does not hold what a checkpoint holds; names ``path``.
    """
    found = state.get("fingerprint")
    if found != fingerprint:
        name = _first_difference(fingerprint, found if isinstance(found, dict) else {})
        raise CheckpointError(
            f"{path}: of another training ({name} differs); give the same settings, another --out, or --overwrite"
        )
    step, epoch, sums = (state.get(name) for name in ("step", "weights_epoch", "sums"))
    try:
        for name, count in (("step", step), ("weights_epoch", epoch)):
            if type(count) is not int or count < 0:
                raise CheckpointError(f"{name} is {count}")
        history = checked_record({"epochs": state.get("history")})["epochs"]
        if not isinstance(sums, dict) or not all(map(_is_sum, sums.values())):
            raise CheckpointError("its sums of losses are no numbers")
        check_state(model.state_dict(), _as_dict(state.get("model"), "weights"))
        for name in ("optimizer", "precision"):
            _as_dict(state.get(name), f"state of the {name}")
    except CheckpointError as error:
        raise CheckpointError(f"{path}: no checkpoint of a training: {error}; train again with --overwrite") from None
    model.load_state_dict(state["model"])
    return Progressed(step, list(history), epoch)  # type: ignore[arg-type]


def optimizer_state(found: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A checkpoint's state for an optimizer of the same parameters, with the optimizer's own settings.

    Raises:
        CheckpointError: it does not belong to these parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    try:
        kept = _as_dict(found.get("state"), "averages")
        for index, entries in kept.items():
            if type(index) is not int or not 0 <= index < len(parameters):
                raise CheckpointError(f"it has {len(parameters)} parameters, none of number {index}")
            wanted = {name: torch.zeros(()) if name == "step" else parameters[index] for name in _KEPT}
            check_state(wanted, _as_dict(entries, "averages"))
    except CheckpointError as error:
        raise CheckpointError(
            f"the checkpoint is of another optimizer: {error}; train again with --overwrite"
        ) from None
    return {"state": kept, "param_groups": optimizer.state_dict()["param_groups"]}


def epochs_without_gain(history: list[dict[str, Any]]) -> int:
    """Epochs since the one with the best reconstruction of the validation images."""
    scores = [score for record in history if (score := record.get("validation_mse")) is not None]
    return len(scores) - 1 - min(range(len(scores)), key=scores.__getitem__) if scores else 0


def _as_dict(value: Any, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise CheckpointError(f"it has no {what}")
    return value


def _is_sum(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == () and value.is_floating_point()


def _first_difference(left: dict[str, Any], right: dict[str, Any], prefix: str = "") -> str:
    for key in sorted(left.keys() | right.keys(), key=str):
        one, other = left.get(key), right.get(key)
        if isinstance(one, dict) and isinstance(other, dict) and one != other:
            return _first_difference(one, other, f"{prefix}{key}.")
        if one != other:
            return f"{prefix}{key}"
    return prefix
