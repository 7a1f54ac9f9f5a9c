"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.backend_names import BACKEND_NAMES
from deploy.commands.completion import complete_backend, complete_run, completing

__all__ = [
    "BackendOption",
    "Csv",
    "DataRoot",
    "Json",
    "LoaderOption",
    "Net",
    "NirReset",
    "NirStep",
    "NirWriter",
    "Sampler",
    "Seed",
    "Settings",
    "StallTimeout",
    "TargetOption",
    "canonical",
    "network_argument",
    "with_data",
]


def csv_target(name: str) -> Path:
    """Where tables go, checked before any work is done."""
    from esvae.machine.outputs import output_file

    return output_file(name, ".csv", option="--csv")


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Csv = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="F.csv",
        help="Also write the tables as CSV; of several, each to F.NAME.csv.",
        parser=csv_target,
    ),
]
DataRoot = Annotated[
    Path | None, typer.Option(help="Folder of the data sets, or of images; else $ESVAE_DATA, else ./data.")
]
Seed = Annotated[int, typer.Option(help="Seed of the latent spikes; with the image number it decides each image.")]
LoaderOption = Annotated[str, typer.Option(help="Who builds Lava's graph: stock (netx) or native (large networks).")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key of the config, such as train.learning_rate=0.001."),
]
BackendOption = Annotated[
    str,
    typer.Option(help=f"{', '.join(BACKEND_NAMES[:-1])} or {BACKEND_NAMES[-1]}.", autocompletion=complete_backend),
]
Sampler = Annotated[str, typer.Option(help="Where Lava's latent spikes are drawn: host, or in the graph.")]
TargetOption = Annotated[str, typer.Option(help="What Lava runs on: cpu or loihi2.")]
StallTimeout = Annotated[
    float, typer.Option(help="Seconds for which Lava may neither tell of progress nor compute before it is given up.")
]


#: Names of options that are taken too, and shown nowhere.
_ALSO = {"bits": "weight-bits"}


def canonical(name: str) -> str:
    """The name that is shown of an option, by any that is taken."""
    return _ALSO.get(name, name)


def network_argument(name: str) -> Path:
    """A network file for what a command was given; where one has to be made of a run first, says so."""
    if completing():  # a TAB key makes nothing
        return Path(name)
    from deploy.opening import network_file
    from deploy.view.console import tell

    return network_file(name, lambda made: tell(f"exporting {name} to {made}, where it is found from now on"))


Net = Annotated[
    Path,
    typer.Argument(
        metavar="F.net",
        help="A network file, a run directory, or pretrained:NAME.",
        parser=network_argument,
        autocompletion=complete_run,
    ),
]

NirStep = Annotated[
    float | None,
    typer.Option("--dt", help="Of a NIR graph: its time step, in its own units of time; else guessed from its gains."),
]
NirReset = Annotated[
    str | None,
    typer.Option("--reset", help="Of a NIR graph: what a spike does to the potential, zero (default) or subtract."),
]
NirWriter = Annotated[
    str | None,
    typer.Option(
        "--written-by",
        help="Of a NIR graph: nir (as its page says), snntorch, spikingjelly, norse, sinabs, rockpool; else guessed.",
    ),
]


def with_data(content: dict[str, Any], data: str | None, root: Path | None) -> tuple[dict[str, Any], Path | None]:
    """A config's content with another data set, and the data root that goes with it.

    Args:
        content: of a config, left as it is.
        data: name of a data set, or a folder of images; the config's own where None.
        root: of the data sets; a folder of images is its own.

    Raises:
        ConfigError: neither a data set nor a folder.
    """
    from esvae.config import DATA_NAMES
    from esvae.errors import ConfigError

    if data is None:
        return content, root
    folder = data not in DATA_NAMES
    if folder and not Path(data).is_dir():
        raise ConfigError(
            f"--data {data}: neither a folder nor a data set; the data sets are {', '.join(DATA_NAMES[:-1])}"
        )
    name = "folder" if folder else data
    return {**content, "data": {**content["data"], "name": name}}, Path(data) if folder else root
