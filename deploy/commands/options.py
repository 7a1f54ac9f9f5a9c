"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DataRoot", "Json", "Loader", "Net", "Sampler", "Seed", "Target"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
DataRoot = Annotated[
    Path | None, typer.Option(help="Folder of the data sets, or of images; else $ESVAE_DATA, else ./data.")
]
Seed = Annotated[int, typer.Option(help="Seed of the latent spikes; with the image number it decides each image.")]
Loader = Annotated[str, typer.Option(help="Who builds Lava's graph: stock (netx) or native (large networks).")]
Sampler = Annotated[str, typer.Option(help="Where Lava's latent spikes are drawn: host, or in the graph.")]
Target = Annotated[str, typer.Option(help="What Lava runs on: cpu or loihi2.")]
Net = Annotated[Path, typer.Argument(metavar="F.net", help="A network file.")]
