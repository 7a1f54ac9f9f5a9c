"""The config of the smallest run that is worth comparing: a few channels, four steps, scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path

import yaml

from esvae.config import load_config

__all__ = ["write_small_config"]


def write_small_config(folder: Path, *, name: str = "digits", epochs: int | None = None) -> Path:
    """Writes ``small.yaml`` into ``folder``."""
    content = load_config("digits").model_dump()
    content["name"] = name
    content["model"].update(latent=8, time_steps=4, encoder_channels=[4, 8], prior={"kind": "mixture", "components": 3})
    content["model"]["decoder"].update(base_size=4, channels=[6, 6])
    if epochs is not None:
        content["train"]["epochs"] = epochs
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path
