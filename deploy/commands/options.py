"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Json", "Net", "Seed"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Seed = Annotated[int, typer.Option(help="Seed of the latent spikes; with the image number it decides each image.")]
Net = Annotated[Path, typer.Argument(metavar="F.net", help="A network file.")]
