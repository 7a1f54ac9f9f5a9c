"""Gathers all that the report says, into one plain object: the JSON beside the page, from which the page is made.

``report.json`` is an object with these keys; fields are added, never renamed. Numbers that are not finite are null.

::

    format, version      "esvae-report", 1
    title, made          the run's name; when, UTC
    belongs              whether the file was made from this run (false only where that was forced)
    warnings             sentences that a reader must not miss
    summary              verification, images, energy, fit: the figures at the top of the page
    network              file, hashes, layers with shapes and neurons
    outline              the stages from input to picture, as they are drawn (see deploy.outline.OutlineLayer)
    pictures             by group ("generated", "reconstructed"): sheets as PNG data addresses, errors by image
    comparison           of esvae compare --json (see deploy.compare.types), float beside quantized
    layers               what rounding did to each layer and its rates, and how much of its registers it can use
    operations           exact counts by layer and step
    energy               estimates by profile, with parts, ranges and basis
    fit                  cores by layer, the limits, other ways
    verification         by backend: equal, differs (and where), or not run (and why)
    training             losses by epoch
    provenance           versions, hashes, config, commands to reproduce
"""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from deploy.backends import BACKENDS, Progress, other_backends
from deploy.compare import CompareOptions, ComparePart, check_belongs, compare_network, load_material
from deploy.compare.images import image_mse
from deploy.compare.samplers import on_the_host
from deploy.cost import cost_of, counted_input
from deploy.entering import InputOptions
from deploy.outline import outline_of
from deploy.pair import pair_of
from deploy.posterior import encode_latents
from deploy.report import pictures, sections
from deploy.report.summary import summary
from deploy.verify import Verdict, verify
from deploy.view.table import plain
from esvae.config import config_to_yaml
from esvae.data import ImageSplits
from esvae.errors import DataError, EsvaeError, LavaMissingError
from esvae.machine.files import sha256_file
from esvae.run import Run, load_run, versions
from export.frontends import from_run
from export.ir import Network, all_weights
from export.ir.circuit import circuit_of
from export.ir.layer_ranges import layer_ranges
from export.netx import read_netx
from export.passes.fidelity import SHARE
from export.pipeline import Options, compiled, export_run, lowered
from sim.fit.adviser import fit_network
from sim.fit.chips import chip_named
from sim.fit.mapping import weight_bits
from sim.sampler import draw_latents
from sim.twin.engine import Engine

__all__ = ["REPORT_FORMAT", "REPORT_VERSION", "Wanted", "gather"]

REPORT_FORMAT, REPORT_VERSION = "esvae-report", 1

_SHOWN = 32  # images of a sheet
_VERIFIED = 4
_PARTS: frozenset[ComparePart] = frozenset({"layers", "reconstruction", "distribution", "attribution"})
#: Distances that need no network from elsewhere; FID and Inception score are ``esvae compare``'s.
_METRICS = ("mse", "fad", "kid", "precision", "recall")
#: Packages whose versions decide what a report says, where they are installed.
_PACKAGES = ("numpy", "numba", "h5py", "safetensors", "matplotlib", "jinja2", "onnxruntime", "lava-dl", "lava-nc")


@dataclass(frozen=True)
class Wanted:
    """What a report is to be made of.

    Attributes:
        run: a run directory, or ``pretrained:NAME``.
        net: the ``.net`` file; where None, the run is exported to ``made_net``.
        made_net: where a file that had to be made goes.
        images: drawn by both decoders, compared and counted.
        seed: of all draws.
        against: backends to verify on; all that are installed where None.
        chip: that it is to fit.
        data_root: folder of the data sets.
        force: although the file does not say that it was made from the run.
        command: by which the report was asked for, for the page to say.
    """

    run: str | os.PathLike[str]
    net: str | os.PathLike[str] | None
    made_net: Path
    images: int = 256
    seed: int = 0
    against: Sequence[str] | None = None
    chip: str = "loihi2"
    data_root: str | os.PathLike[str] | None = None
    force: bool = False
    command: Sequence[str] = ()


def gather(wanted: Wanted, progress: Progress | None = None) -> dict[str, Any]:
    """Runs everything and gives the report's content.

    Raises:
        DataError: fewer than two images, a file that draws none, or that does not belong to the run.
        EsvaeError: run or file cannot be read, or a backend failed.
    """
    say = progress or (lambda share, text: None)
    if wanted.images < 2:
        raise DataError(f"{wanted.images} images: expected at least 2, to compare")
    chip = chip_named(wanted.chip)
    names = other_backends(wanted.against)
    say(0.0, "run")
    run = load_run(Path(wanted.run))
    path = Path(wanted.made_net if wanted.net is None else wanted.net)
    if wanted.net is None:
        say(0.02, "export")
        export_run(run, path)
    network = read_netx(path)
    belongs = check_belongs(run, network, file=str(path), force=wanted.force)
    material = load_material(run, wanted.data_root, progress=lambda share, text: say(0.04, text))
    say(0.06, "compare")
    compared = compare_network(
        run,
        network,
        CompareOptions(wanted.images, wanted.seed, _PARTS, _METRICS, force=wanted.force),
        material,
        names=(str(wanted.run), str(path)),
        progress=lambda share, text: say(0.06 + 0.44 * share, text),
    )
    say(0.5, "pictures")
    shown = _pictures(run, network, material.splits, wanted)
    entering = counted_input(network, InputOptions(wanted.images, wanted.seed))
    cost = cost_of(entering, progress=lambda share, text: say(0.55 + 0.15 * share, text))
    say(0.7, "fit")
    fit = fit_network(network, chip)
    verdicts, skipped = _verified(path, wanted, names, lambda share, text: say(0.75 + 0.15 * share, text))
    say(0.9, "layers")
    content: dict[str, Any] = {
        "format": REPORT_FORMAT,
        "version": REPORT_VERSION,
        "title": run.config.name,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "belongs": belongs,
        "network": {
            "file": str(path),
            "exported": wanted.net is None,
            "bytes": path.stat().st_size,
            "sha256": sha256_file(path),
            **sections.network(network),
        },
        "outline": plain(outline_of(network, fit.mapping)),
        "pictures": shown,
        "comparison": plain(compared),
        "layers": _layers(run, network),
        "operations": sections.operations(cost, entering),
        "energy": sections.energy(cost),
        "fit": sections.fit(fit),
        "verification": sections.verification(verdicts, skipped),
        "training": _training(run),
        "provenance": _provenance(run, network, wanted, path),
    }
    content["warnings"] = _warnings(content)
    content["summary"] = summary(content)
    return content


def _pictures(
    run: Run, network: Network, splits: ImageSplits | EsvaeError | None, wanted: Wanted
) -> dict[str, dict[str, Any] | None]:
    """Both decoders' images of the same latent spikes: drawn from the prior, and of test images where there are any."""
    numbers = np.arange(min(wanted.images, _SHOWN))
    groups: dict[str, dict[str, Any] | None] = {
        "generated": _group(run, network, draw_latents(network, wanted.seed, numbers)),
        "reconstructed": None,
    }
    if isinstance(splits, ImageSplits) and len(splits.test):
        real = splits.test.head(len(numbers)).tensor().numpy()
        latents = encode_latents(run, network, real, wanted.seed)
        groups["reconstructed"] = _group(run, network, latents, original=real)
    return groups


def _group(run: Run, network: Network, latents: np.ndarray, **others: np.ndarray) -> dict[str, Any]:
    drawn = pair_of(run.model.decoder, Engine(network), latents)
    errors = image_mse(drawn.integers, drawn.floats)
    group = pictures.pair(drawn.floats, drawn.integers, errors, **others)
    return plain({**group, "mse": errors, "scale": pictures.colour_scale()})


def _layers(run: Run, network: Network) -> dict[str, Any]:
    """What quantizing did, where exporting the run again with as many bits gives the same network; and the ranges."""
    ranges = layer_ranges(network)
    bits = max(2, *(weight_bits(all_weights(layer)) for layer, _, _ in network.synapses()))
    try:
        again = compiled(from_run(run), Options(bits, "none"))
        hosts = network if circuit_of(network) is None else on_the_host(run, network)
        same = any(
            lowered(again.plain, way)[0].content_hash() == hosts.content_hash() for way in ("none", "auto", "dense")
        )
    except EsvaeError:
        return sections.layers(None, ranges)
    if not same:
        return sections.layers(None, ranges)
    again = again.called_as(network.labels)
    return sections.layers(again.quantization, ranges, again.fidelity)


def _verified(
    path: Path, wanted: Wanted, names: Sequence[str], progress: Progress
) -> tuple[dict[str, Verdict], dict[str, str]]:
    """Verdicts by backend, and why others were left out; one that was asked for by name must be there."""
    images = min(wanted.images, _VERIFIED)
    verdicts: dict[str, Verdict] = {}
    skipped: dict[str, str] = {}
    for index, name in enumerate(names):

        def report(share: float, text: str, index: int = index) -> None:
            progress((index + share) / len(names), f"verify: {text}")

        report(0.0, name)
        reason = BACKENDS[name].missing() if wanted.against is None else None
        if reason is not None:
            skipped[name] = reason
            continue
        try:
            verdicts[name] = verify(path, images, seed=wanted.seed, against=(name,), progress=report)
        except LavaMissingError as error:  # it is there, but its interpreter cannot load it
            if wanted.against is not None:
                raise
            skipped[name] = str(error)
    return verdicts, skipped


def _training(run: Run) -> dict[str, Any]:
    epochs = [epoch for epoch in run.record.get("epochs", []) if isinstance(epoch, dict)]
    keys = ("epoch", "reconstruction_mse", "mmd", "total", "seconds")
    return plain(
        {
            "data": run.config.data.name,
            "steps": run.record.get("steps"),
            "epochs": [{key: epoch.get(key) for key in keys} for epoch in epochs],
        }
    )


def _provenance(run: Run, network: Network, wanted: Wanted, path: Path) -> dict[str, Any]:
    found = dict(versions())
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    commands = [] if wanted.net is not None else [["esvae", "export", os.fspath(wanted.run), "-o", str(path)]]
    if wanted.command:
        commands.append(list(wanted.command))
    recorded = run.record.get("versions", {})
    return plain(
        {
            "versions": found,
            "trained_with": recorded if isinstance(recorded, dict) else {},
            "machine": f"{platform.system()} {platform.machine()}",
            "run": os.fspath(wanted.run),
            "weights_sha256": run.weights_hash,
            "file": dict(network.provenance),
            "config": config_to_yaml(run.config),
            "images": wanted.images,
            "seed": wanted.seed,
            "commands": [shlex.join(command) for command in commands],
        }
    )


def _warnings(content: dict[str, Any]) -> list[str]:
    found = []
    if not content["belongs"]:
        found.append(
            "The network file does not say that it was made from this run; the report was forced. Float and integer "
            "results below may be of different models."
        )
    for row in content["verification"]["backends"]:
        if row["verdict"] == "differs":
            found.append(f"{row['backend']} does not compute the twin's integers; first at {row['difference']}.")
    for row in content["comparison"]["layers"]:
        rates = row["rate_float"], row["rate_quantized"]
        if None not in rates and abs(rates[1] - rates[0]) > SHARE * rates[0]:
            found.append(
                f"{row['name']} fires otherwise in integers: at {rates[1]:.2g} spikes a step and neuron, in floats at "
                f"{rates[0]:.2g}."
            )
    if content["pictures"]["reconstructed"] is None:
        found.append("No real images were at hand, so reconstructions and distances from real images are missing.")
    return found
