"""The verbs of the command line, one file each, thin over one public function of the packages below."""

from deploy.commands.autoencode import autoencode
from deploy.commands.demo import demo
from deploy.commands.energy import energy
from deploy.commands.evaluate import evaluate
from deploy.commands.export import export
from deploy.commands.fad import fad
from deploy.commands.fit import fit
from deploy.commands.generate import generate
from deploy.commands.import_official import import_official
from deploy.commands.lava import lava
from deploy.commands.plan import plan
from deploy.commands.simulate import simulate
from deploy.commands.sweep import sweep
from deploy.commands.train import train
from deploy.commands.verify import verify

__all__ = [
    "autoencode",
    "demo",
    "energy",
    "evaluate",
    "export",
    "fad",
    "fit",
    "generate",
    "import_official",
    "lava",
    "plan",
    "simulate",
    "sweep",
    "train",
    "verify",
]
