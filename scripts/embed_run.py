"""Puts a trained run into the package, as ``pretrained:NAME``, its weights rounded to 16 bit.

python scripts/embed_run.py RUN NAME
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save

from esvae.config import config_to_yaml
from esvae.machine.files import write_bytes, write_text
from esvae.run import load_run

LIMIT = 2_000_000  # bytes of weights


def main(run: str, name: str) -> None:
    trained = load_run(run)
    target = Path(__file__).resolve().parents[1] / "esvae" / "pretrained" / name
    tensors = {key: value.half().contiguous() for key, value in trained.model.state_dict().items()}
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise SystemExit("a weight is beyond what 16 bit hold")
    content = save(tensors)
    if len(content) > LIMIT:
        raise SystemExit(f"{len(content):,} bytes of weights are more than {LIMIT:,}")
    write_text(target / "config.yaml", config_to_yaml(trained.config))
    about = {"rounded_to": "float16", "weights_sha256": hashlib.sha256(content).hexdigest()}
    write_text(target / "training.json", json.dumps({**trained.record, **about}, indent=1) + "\n")
    write_bytes(target / "weights.safetensors", content)
    print(f"{target}: {len(content):,} bytes of weights")


if __name__ == "__main__":
    main(*sys.argv[1:])
