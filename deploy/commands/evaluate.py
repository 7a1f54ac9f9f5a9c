"""``esvae evaluate``: how well a run reconstructs and generates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import DataRoot, Json

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or pretrained:NAME.")],
    images: Annotated[int, typer.Option("-n", "--images", min=1, help="Images to generate.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    metrics: Annotated[str, typer.Option(help="Of mse, fad, kid, precision, recall, inception; or all.")] = "all",
    protocol: Annotated[str, typer.Option(help="Of FAD's batch norm: eval, or published (batch statistics).")] = "eval",
    features: Annotated[
        Path | None, typer.Option(help="FAD's autoencoder; else the one below the data root. Takes published weights.")
    ] = None,
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """Judge a run: reconstruction error, and distances of its images from real ones, with 95 % intervals and the floor.

    [bold]Example:[/] esvae evaluate runs/digits --metrics mse,fad,kid -n 1000
    """
    from deploy.view.console import bar, emit_json, print_tables, say
    from deploy.view.prose import counted
    from deploy.view.table import plain
    from deploy.view.tables import evaluation_tables, metric_name
    from esvae.data import load_images
    from esvae.errors import ConfigError, EsvaeError
    from esvae.metrics.features import PROTOCOLS, FeatureNet, load_features
    from esvae.metrics.generator import METRICS, measure_generator
    from esvae.metrics.train_features import features_path
    from esvae.run import load_run

    wanted = METRICS if metrics == "all" else tuple(name.strip() for name in metrics.split(","))
    if protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol '{protocol}' is unknown; choose {' or '.join(PROTOCOLS)}")
    trained = load_run(run)
    with bar("evaluate") as report:
        splits = load_images(trained.config.data, data_root, report)
        net: FeatureNet | EsvaeError
        try:
            net = load_features(features or features_path(trained.config.data, data_root))
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
    if json:
        emit_json({"run": run, "weights_hash": trained.weights_hash, "data": trained.config.data.name, **vars(done)})
        return
    of = f"{len(splits.test):,} of {trained.config.data.name}'s test set"
    title = f"{run}: {counted(done.images, 'generated image')} against {of}"
    print_tables(evaluation_tables(plain(done), title=title))
    for name, reason in done.missing.items():
        say(f"{metric_name(name)}: {reason}")
