"""Every command of the program in its smallest form, for tests of what all of them must do.

A word in capitals stands for an input, one that begins with ``@`` for an output: a file, or a folder, below the folder
that the test chooses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from official_network import official
from PIL import Image
from sklearn.datasets import load_digits

from esvae.config import load_config
from esvae.model import ESVAE
from esvae.run import load_run, save_run
from export.frontends import from_run
from export.pipeline import Options, export_network
from shortened import lava_is_here
from small_config import write_small_config

__all__ = [
    "CASES",
    "FOREIGN",
    "INPUT_OPTIONS",
    "NOT_RUN",
    "Case",
    "outputs",
    "write_foreign",
    "write_inputs",
    "write_tiny",
]


@dataclass(frozen=True)
class Case:
    """A command line.

    Attributes:
        words: of it.
        code: that it exits with.
        steady: it writes the same bytes each time.
        dear: it takes seconds, though it prints, or writes, by what cheaper ones do so with too.
    """

    words: str
    code: int = 0
    steady: bool = True
    dear: bool = False

    @property
    def writes(self) -> bool:
        return "@" in self.words

    def filled(self, inputs: dict[str, Path], out: str) -> list[str]:
        """The words, with inputs put in and outputs below ``out``, which may be a beginning of names too."""
        return [out + word[1:] if word.startswith("@") else str(inputs.get(word, word)) for word in self.words.split()]


#: By the command's name, and what is special about it after a comma.
CASES: dict[str, Case] = {
    "autoencode": Case("autoencode RUN -n 1 -o @back.png --data-root IMAGES"),
    "check": Case("check NET --csv @c.csv"),
    "compare": Case("compare RUN NET -n 2 --metrics none --no-attribution --plot @plots --csv @c.csv"),
    "config list": Case("config list --csv @c.csv"),
    "config show": Case("config show CONFIG --resolved --set train.epochs=2"),
    "data check": Case("data check IMAGES --csv @d.csv"),
    "demo": Case("demo --out @demo --config DIGITS --max-steps 2 --csv @d.csv", steady=False, dear=True),
    "diff": Case("diff NET OTHER --csv @d.csv", code=1),
    "energy": Case("energy NET -n 2 --profile loihi2_anchored --plot @plots --csv @e.csv"),
    "evaluate": Case("evaluate RUN -n 2 --metrics mse --data-root IMAGES --csv @e.csv"),
    "export": Case("export RUN -o @made.net --csv @e.csv"),
    "export, onnx": Case("export RUN -o @made.net --onnx @made.onnx"),
    "export, nir": Case("export RUN -o @made.net --nir @made.nir"),
    "export, netx": Case("export NET -o @made.net --csv @e.csv"),
    "fad train": Case("fad train CONFIG --epochs 1 --out @f.safetensors --data-root MANY", steady=False),
    "fit": Case("fit NET --plot @plots --csv @f.csv"),
    "generate": Case("generate NET -n 4 --chunk 2 --out @drawn"),
    "import-official": Case("import-official PTH --out @imported --data mnist"),
    "inspect": Case("inspect NET --csv @i.csv -o @n.svg"),
    "lava doctor": Case("lava doctor --no-test --csv @l.csv", code=0 if lava_is_here() else 1, steady=False),
    "plan": Case("plan NET --csv @p.csv"),
    "pretrained": Case("pretrained --csv @p.csv"),
    "probe": Case("probe NET -n 1000 --csv @p.csv"),
    "report": Case(
        "report RUN --net NET -n 2 --against reference -o @page.html --data-root IMAGES", steady=False, dear=True
    ),
    "simulate": Case("simulate NET -n 2 -o @i.png --save-latents @z.npy --trace @t.npz"),
    "simulate, gif": Case("simulate NET -n 2 -o @i.gif"),
    "simulate, h5": Case("simulate NET -n 2 --trace @t.h5", steady=False),
    "sweep": Case(
        "sweep RUN -o @store --weight-bits 8 -n 2 --test-images 2 --data-root IMAGES --csv @s.csv", steady=False
    ),
    "train": Case("train CONFIG --out @run --max-steps 2 --data-root IMAGES", steady=False),
    "verify": Case("verify NET -n 1 --against reference --csv @v.csv"),
}
#: Commands that no test runs as the others, and why.
NOT_RUN = {"lava install": "fetches 0.5 GB"}
#: Options that take a path and write nothing there.
INPUT_OPTIONS = frozenset(
    ("--calibration-latents", "--data-root", "--features", "--from", "--latents", "--spikes", "--validate", "--net")
) | {"--path"}  # of lava install


#: Modules of somebody's that are named as our packages are.
FOREIGN = ("export.py", "sim.py", "deploy/__init__.py")


def write_foreign(folder: Path) -> None:
    """Writes modules that must not be imported into a folder."""
    for name in FOREIGN:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise RuntimeError('a module of the user was imported')\n")


def write_tiny(folder: Path) -> Path:
    """Writes ``tiny.yaml``, a config of the smallest network, and 40 images for it into ``images``."""
    write_images(folder / "images", 40)
    content = yaml.safe_load(write_small_config(folder, epochs=3).read_text("utf-8"))
    content["data"].update(name="folder", image_size=8)
    content["model"].update(time_steps=2, encoder_channels=[4])
    content["model"]["decoder"].update(channels=[4])
    content["train"]["batch_size"] = 6
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return folder / "tiny.yaml"


def write_images(folder: Path, count: int) -> Path:
    """Writes digits as pictures of 8 by 8 pixels."""
    folder.mkdir()
    for index, pixels in enumerate(load_digits().images[:count]):
        Image.fromarray((pixels * 15).astype(np.uint8)).save(folder / f"{index:03d}.png")
    return folder


def write_inputs(folder: Path) -> dict[str, Path]:
    """Writes all inputs into a folder; gives their places by the words that stand for them."""
    places = {
        "CONFIG": write_tiny(folder),
        "DIGITS": folder / "small.yaml",
        "IMAGES": folder / "images",
        "MANY": write_images(folder / "many", 290),
        **{name: folder / file for name, file in (("RUN", "run"), ("NET", "d.net"), ("OTHER", "other.net"))},
        "PTH": folder / "official.pth",
    }
    torch.manual_seed(0)
    save_run(places["RUN"], ESVAE(load_config(places["CONFIG"])).eval(), {"epochs": [], "steps": 0, "finished": True})
    for name, bits in (("NET", 8), ("OTHER", 4)):
        export_network(from_run(load_run(places["RUN"])), places[name], Options(bits))
    torch.save(official(False).state_dict(), places["PTH"])
    return places


def outputs(words: str) -> Iterator[str]:
    """The options that a command line gives an output to."""
    split = words.split()
    for option, word in itertools.pairwise(split):
        if word.startswith("@"):
            yield option
