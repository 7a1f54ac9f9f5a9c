"""The verbs of the command line, one file each, thin over one public function of the packages below."""

from deploy.commands.demo import demo
from deploy.commands.export import export
from deploy.commands.lava import lava
from deploy.commands.plan import plan
from deploy.commands.simulate import simulate
from deploy.commands.train import train
from deploy.commands.verify import verify

__all__ = ["demo", "export", "lava", "plan", "simulate", "train", "verify"]
