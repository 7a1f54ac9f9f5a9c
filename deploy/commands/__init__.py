"""The verbs of the command line, one file each, thin over one public function of the packages below."""

from deploy.commands.autoencode import autoencode
from deploy.commands.check import check
from deploy.commands.compare import compare
from deploy.commands.config import config
from deploy.commands.data import data
from deploy.commands.demo import demo
from deploy.commands.diff import diff
from deploy.commands.energy import energy
from deploy.commands.evaluate import evaluate
from deploy.commands.export import export
from deploy.commands.fad import fad
from deploy.commands.fit import fit
from deploy.commands.generate import generate
from deploy.commands.import_official import import_official
from deploy.commands.inspect import inspect
from deploy.commands.lava import lava
from deploy.commands.plan import plan
from deploy.commands.pretrained import pretrained
from deploy.commands.probe import probe
from deploy.commands.report import report
from deploy.commands.simulate import simulate
from deploy.commands.sweep import sweep
from deploy.commands.train import train
from deploy.commands.verify import verify

__all__ = [
    "autoencode",
    "check",
    "compare",
    "config",
    "data",
    "demo",
    "diff",
    "energy",
    "evaluate",
    "export",
    "fad",
    "fit",
    "generate",
    "import_official",
    "inspect",
    "lava",
    "plan",
    "pretrained",
    "probe",
    "report",
    "simulate",
    "sweep",
    "train",
    "verify",
]
