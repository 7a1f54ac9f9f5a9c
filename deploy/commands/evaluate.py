"""``esvae evaluate``: how well a run reconstructs and generates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.completion import complete_run
from deploy.commands.options import Csv, DataRoot, Json

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run directory, or pretrained:NAME.", autocompletion=complete_run)
    ],
    images: Annotated[int, typer.Option("-n", "--images", min=1, help="Images to generate.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    metrics: Annotated[
        str, typer.Option(help="Of mse, fad, fad_posterior, kid, precision, recall, nearest, fid; all.")
    ] = "all",
    protocol: Annotated[str, typer.Option(help="Of FAD's batch norm: eval, or published (batch statistics).")] = "eval",
    features: Annotated[
        Path | None, typer.Option(help="FAD's autoencoder; else the one below the data root. Takes published weights.")
    ] = None,
    data_root: DataRoot = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Judge a run: reconstruction error, and distances of its images from real ones, with 95 % intervals and the floor.

    [bold]Example:[/] esvae evaluate runs/digits --metrics mse,fad,kid -n 1000
    """
    from deploy.view.console import bar, print_tables, say, show_result
    from deploy.view.prose import counted
    from deploy.view.table import plain
    from deploy.view.tables import evaluation_tables, metric_name
    from esvae.data import load_images
    from esvae.errors import ConfigError, EsvaeError
    from esvae.metrics.features import PROTOCOLS, FeatureNet, features_of, features_path, load_features
    from esvae.metrics.generator import measure_generator, metrics_named
    from esvae.metrics.paper import PAPER_FIGURES
    from esvae.run import load_run

    wanted = metrics_named(metrics)
    if protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol '{protocol}' is unknown; choose {' or '.join(PROTOCOLS)}")
    trained = load_run(run)
    with bar("evaluate") as report:
        splits = load_images(trained.config.data, data_root, report)
        net: FeatureNet | EsvaeError
        autoencoder = features or features_path(trained.config.data, data_root)
        try:
            net = features_of(trained.config.data, data_root) if features is None else load_features(features)
        except EsvaeError as error:
            if features is not None:
                raise
            net = error
        done = measure_generator(
            trained.model,
            splits,
            net,
            count=images,
            seed=seed,
            protocol=protocol,  # type: ignore[arg-type]
            metrics=wanted,
            report=report,
        )
    data = trained.config.data.name
    measured = {**vars(done), "paper": PAPER_FIGURES.get(data, {})}
    title = (
        f"{run}: {counted(done.images, 'generated image')} against {len(splits.test):,} of {data}'s test set"
        + f"; FAD in the code of {autoencoder.name}, protocol {protocol}" * ("fad" in done.values)
    )
    tables = evaluation_tables(plain(measured), title=title)

    def people() -> None:
        print_tables(tables)
        for name, reason in done.missing.items():
            say(f"{metric_name(name)}: {reason}")

    result = {"run": run, "weights_hash": trained.weights_hash, "data": data, **measured}
    show_result(result, tables, json=json, csv=csv, people=people)
