"""The ways to run an exported network, behind one door: the twin, the reference, Lava, ONNX Runtime.

A new backend is one file: an object with the methods of :class:`Backend`, entered in :data:`BACKENDS`.
"""

from deploy.backends.job import Backend, BackendJob, BackendRun, kept_traces
from deploy.backends.registry import BACKENDS, backend_named, check_heeded, check_job, other_backends, run_backend
from deploy.backends.settings import LavaSettings, Loader, SamplerPlace, Target
from esvae.machine.progress import Progress

__all__ = [
    "BACKENDS",
    "Backend",
    "BackendJob",
    "BackendRun",
    "LavaSettings",
    "Loader",
    "Progress",
    "SamplerPlace",
    "Target",
    "backend_named",
    "check_heeded",
    "check_job",
    "kept_traces",
    "other_backends",
    "run_backend",
]
