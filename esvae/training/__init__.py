"""Training with Lightning: seeded, recorded, and continued after an interruption as if there had been none."""

from esvae.training.evaluate import evaluate_mse, fit_prior
from esvae.training.fit import Machine, Progress, fit
from esvae.training.train import train

__all__ = ["Machine", "Progress", "evaluate_mse", "fit", "fit_prior", "train"]
