"""The table of kinds. One more is one more entry: how a sound input is made, what of it is changed, what reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mutated import others, readers, samples
from mutated.on_archives import ZIP
from mutated.on_bytes import BYTES, PLACES, Mutation
from mutated.on_hdf5 import HDF5, NETWORKS, rehash
from mutated.on_headers import IDX, NPY, SAFETENSORS
from mutated.on_pictures import PICTURES
from mutated.on_texts import JSON, YAML
from mutated.readers import Reader, command
from mutated.samples import Sample, Shared

__all__ = ["KINDS", "Kind"]

Changes = Mapping[str, Mutation]
#: NIR graphs of several frameworks.
GRAPHS = Path(__file__).resolve().parents[1] / "export" / "frontends" / "nir" / "files"


@dataclass(frozen=True)
class Kind:
    """Inputs of one format, with one meaning.

    Attributes:
        samples: sound ones.
        changed: patterns of the files that are changed, with the changes that their format knows; those of bytes and of
            what stands in a file's place are added.
        readers: what reads them.
        other: another reader, that says what a changed file holds; None where a hash covers every byte that matters, so
            that nothing may come out but what was there, an error, or a word of warning.
        whole: changes after which a file of this format can never be another sound one.
        optional: a folder without the changed file, or with a folder in its place, is another sound input.
        crashes: the library that makes the changes may crash on what is damaged already, so that it needs a fork.
        finish: a last change.
    """

    samples: Mapping[str, Sample]
    changed: Mapping[str, Changes]
    readers: Mapping[str, Reader]
    other: others.OtherReader | None = None
    whole: frozenset[str] = field(default_factory=frozenset)
    optional: bool = False
    crashes: bool = False
    finish: Mutation | None = None

    def changes(self, pattern: str) -> tuple[Changes, ...]:
        """Changes of a file by name, in groups each of which is taken as often as another."""
        own = self.changed[pattern]
        return (BYTES, BYTES, BYTES, PLACES, *((own,) * 4 if own else ()))


def _config(made: Shared) -> Kind:
    train = command(
        "train",
        "{}/x.yaml",
        "--out",
        "{}/out",
        "--max-steps",
        "1",
        "--samples-every",
        "0",
        writes="out/weights.safetensors",
    )
    return Kind({"small": samples.config(made)}, {"x.yaml": YAML}, {"train": train}, others.yaml_anew)


def _profile(made: Shared) -> Kind:
    names = ("cmos45", "loihi1_davies2018", "loihi1_sanafe2025", "loihi2_anchored")
    written = {name: samples.profile(f"profiles/{name}.yaml") for name in names}
    energy = command("energy", str(made.net), "-n", "1", "--profile", "{}/x.yaml")
    return Kind(written, {"x.yaml": YAML}, {"energy": energy}, others.yaml_anew)


def _case(made: Shared) -> Kind:
    written = {"pilotnet": samples.profile("cases/pilotnet_lif_loihi2.yaml")}
    return Kind(written, {"x.yaml": YAML}, {"case": readers.read_case}, others.yaml_anew)


def _of_run(file: str, changes: Changes, other: others.OtherReader | None) -> Callable[[Shared], Kind]:
    def make(made: Shared) -> Kind:
        read = {"export": command("export", "{}/run", "-o", "{}/x.net", writes="x.net")}
        return Kind({"run": samples.run(made)}, {f"run/{file}": changes}, read, other)

    return make


def _checkpoint(made: Shared) -> Kind:
    read = {"train --resume": readers.resume(made)}
    return Kind(
        {"run": samples.unfinished(made)}, {"run/checkpoint.safetensors": SAFETENSORS}, read, others.tensors_anew
    )


def _features(made: Shared) -> Kind:
    return Kind(
        {"ours": samples.features},
        {"x.safetensors": SAFETENSORS},
        {"features": readers.read_features},
        others.tensors_anew,
    )


def _pth(made: Shared) -> Kind:
    written = {
        "zip": samples.official(),
        "legacy": samples.official(_use_new_zipfile_serialization=False),
        "inside": samples.official(inside=True),
    }
    read = {
        "import-official": command("import-official", "{}/x.pth", "--out", "{}/run", writes="run/weights.safetensors")
    }
    return Kind(written, {"x.pth": ZIP}, read, others.archive_anew)


def _arrays(option: str, shape: tuple[int, ...], most: int, net: str) -> Callable[[Shared], Kind]:
    def make(made: Shared) -> Kind:
        arguments = [str(getattr(made, net)), option, "{}/x.npy"]
        read = {"simulate": command("simulate", *arguments, "--trace", "{}/t.npz", writes="t.npz")}
        kind = "u1" if most == 2 else "i2"
        return Kind({"array": samples.array(*shape, most=most, kind=kind)}, {"x.npy": NPY}, read, others.array_anew)

    return make


def _pictures(made: Shared) -> Kind:
    return Kind(
        {"pictures": samples.pictures},
        {"pictures/*/*": PICTURES},
        {"folder": readers.read_pictures},
        others.picture_anew,
        whole=frozenset({"cut"}),
        optional=True,
    )


def _mnist(made: Shared) -> Kind:
    return Kind({"idx": samples.mnist}, {"data/MNIST/raw/*": IDX}, {"load": readers.read_mnist}, others.idx_anew)


def _prepared(made: Shared) -> Kind:
    return Kind(
        {"npy": samples.prepared}, {"data/prepared/*.npy": NPY}, {"load": readers.read_mnist}, others.array_anew
    )


def _generation(made: Shared) -> Kind:
    changed: dict[str, Changes] = {"drawn/generation.json": JSON, "drawn/*.npy": NPY, "drawn/*.sha256": {}}
    return Kind({"drawn": samples.generation(made)}, changed, {"generate": readers.read_generation(made)})


def _sweep(made: Shared) -> Kind:
    changed: dict[str, Changes] = {"sweep/points/*.json": JSON, "sweep/points/*.net": {}}
    return Kind({"two points": samples.sweep(made)}, changed, {"sweep": readers.read_sweep(made)})


def _lava_result(made: Shared) -> Kind:
    return Kind({"npz": samples.lava_result}, {"x.npz": ZIP}, {"read": readers.read_lava_result}, others.arrays_anew)


def _net(made: Shared) -> Kind:
    written = {name: samples.network(name) for name in NETWORKS}
    quiet = {verb: command(verb, "{}/x.net", silent=True) for verb in ("check", "inspect")}
    read = {**quiet, "simulate": readers.run_spikes}
    return Kind(written, {"x.net": HDF5}, read, others.netx_anew, crashes=True, finish=rehash)


def _nir(made: Shared) -> Kind:
    written = {path.stem: samples.graph(path) for path in sorted(GRAPHS.glob("*.nir"))}
    export = command("export", "{}/x.nir", "-o", "{}/x.net", writes="x.net")
    read = {"export": export, "check": command("check", "{}/x.nir", silent=True)}
    return Kind(written, {"x.nir": HDF5}, read, others.hdf5_anew, crashes=True)


#: Each gets what all kinds share.
KINDS: dict[str, Callable[[Shared], Kind]] = {
    "config": _config,
    "profile": _profile,
    "case": _case,
    "run-config": _of_run("config.yaml", YAML, others.yaml_anew),
    "run-record": _of_run("training.json", JSON, others.json_anew),
    "run-weights": _of_run("weights.safetensors", SAFETENSORS, None),
    "checkpoint": _checkpoint,
    "features": _features,
    "pth": _pth,
    "latents": _arrays("--latents", (2, 4, 8), 2, "net"),
    "spikes": _arrays("--spikes", (2, 4, 8, 1, 1), 2, "net"),
    "image": _arrays("--image", (2, 1, 4, 4), 300, "driven"),
    "pictures": _pictures,
    "data-set": _mnist,
    "prepared-data": _prepared,
    "generation": _generation,
    "sweep": _sweep,
    "lava-result": _lava_result,
    "net": _net,
    "nir": _nir,
}
