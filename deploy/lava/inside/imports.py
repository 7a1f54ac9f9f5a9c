"""What the worker imports once, before it forks a process for each job, and what it leaves out."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from pathlib import Path
from typing import Any

__all__ = ["import_lava", "import_netx"]

#: The releases whose imports are known here; of others everything is imported.
LAVA_VERSION, LAVA_DL_VERSION = "0.10.0", "0.6.0"


def import_lava(*, convolutions: bool) -> None:
    """Imports Lava's compiler and the processes of every network, so that no job has to; has it search less.

    networkx, with which the compiler orders processes, asks whether a list of edges is a pandas table; scipy.signal, of
    which Lava takes one convolution, wants a percentile for its search for peaks. Empty modules stand in for both, as
    nothing here meets a table or a peak, unless scipy wants more than that. Measured: 2.4 s of processor time for a run
    of a small network become 1.1.

    Args:
        convolutions: whether what computes them is needed: for some network's, or by netx.
    """
    known = importlib.metadata.version("lava-nc") == LAVA_VERSION
    if known:
        statistics = types.ModuleType("scipy.stats")
        statistics.__dict__["scoreatpercentile"] = None
        sys.modules["scipy.stats"] = statistics
        sys.modules["pandas"] = None  # type: ignore[assignment]  # makes an import raise; networkx then goes on
    import lava.magma.compiler.compiler
    import lava.magma.core.run_configs
    import lava.proc.io.source
    import lava.proc.lif.models
    import lava.proc.sparse.models

    if convolutions:
        try:
            import scipy.signal  # noqa: F401
        except ImportError:
            sys.modules.pop("scipy.stats", None)
        import lava.proc.conv.models  # noqa: F401 - all for the jobs' processes, which are forked from this one
    if known:
        _search_once()


def _search_once() -> None:
    """Has Lava's compiler look for the models of a class of processes once a run, not once for each process.

    It executes every file beside that of the class, once for each of them. Beside this project's own are no others.
    """
    from lava.magma.compiler.compiler_graphs import ProcGroupDiGraphs

    search, found = ProcGroupDiGraphs._find_proc_models, dict[type, list[type]]()

    def models_of(proc: Any) -> list[type]:
        kind = type(proc)
        if kind not in found:
            own = kind.__module__.startswith(f"{__package__}.")
            beside = sys.modules[kind.__module__]
            found[kind] = ProcGroupDiGraphs._find_proc_models_in_module(proc, beside) if own else search(proc)
        return list(found[kind])

    ProcGroupDiGraphs._find_proc_models = staticmethod(models_of)


def import_netx() -> None:
    """Imports netx, and what else it takes to run its networks, without lava-dl's training half (slayer) and torch.

    netx needs slayer for the parameters of resonate-and-fire neurons alone, and torch for stream utilities that no
    network uses, yet imports both, and Lava's compiler then executes every file of the netx folder once more. Empty
    modules stand in for them; what they hold is never called for the networks run here. No code that builds or runs
    the network is touched. Measured: 5 s become 1 s for a small network.
    """
    import lava

    if importlib.metadata.version("lava-dl") == LAVA_DL_VERSION:
        stand_ins: dict[str, Any] = {"torch": None}  # makes an import raise; the compiler then passes the file over
        for name in ("dl.slayer", "dl.slayer.neuron", "dl.slayer.neuron.rf", "dl.netx.sequential_modules"):
            module = types.ModuleType(f"lava.lib.{name}")
            # the compiler asks every module beside netx for its file
            module.__file__ = str(Path(next(iter(lava.__path__)), "lib", *name.split(".")).with_suffix(".py"))
            stand_ins[module.__name__] = module
        stand_ins["lava.lib.dl.slayer.neuron.rf"].neuron_params = None
        sys.modules.update(stand_ins)
    import lava.lib.dl.netx.hdf5
    import lava.proc.dense.models
    import lava.proc.sdn.models
