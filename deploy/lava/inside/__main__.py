"""Starts the worker: ``python FOLDER/inside/__main__.py SCRATCH DESCRIPTOR``; see ``worker.py``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGE = "_esvae_lava"


def load_package() -> None:
    """Makes this folder importable as :data:`PACKAGE`, and takes it off the path that the interpreter put it on."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    spec = importlib.util.spec_from_file_location(PACKAGE, here / "__init__.py", submodule_search_locations=[str(here)])
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {here}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    load_package()
    importlib.import_module(f"{PACKAGE}.worker").main(Path(sys.argv[1]), int(sys.argv[2]))
