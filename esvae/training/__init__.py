"""Training with Lightning: seeded, recorded, and continued after an interruption as if there had been none."""

from esvae.training.evaluate import evaluate_mse, fit_prior
from esvae.training.fit import Machine, TrainingCallbacks, TrainingProgress, check_machine, fit
from esvae.training.precision import settled_precision
from esvae.training.train import fine_tuning, train

__all__ = [
    "Machine",
    "TrainingCallbacks",
    "TrainingProgress",
    "check_machine",
    "evaluate_mse",
    "fine_tuning",
    "fit",
    "fit_prior",
    "settled_precision",
    "train",
]
