"""A network from what somebody names: a file of any origin, a run directory, or a run that comes with the project.

Where a file is needed, a run is exported as ``esvae export`` does by default, once: the file is kept in the user's
cache under a name that says what it was made of, and found there from then on.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from esvae import __version__
from esvae.errors import EsvaeError, NetFileError
from esvae.machine.files import sha256_file
from esvae.shipped import RUN_FILES, kind_of_file, names_pretrained, run_folder
from export.ir import Network
from export.netx import read_netx

__all__ = ["CACHE", "cache_folder", "names_run", "network_file", "open_network"]

#: Environment variable that names another folder for networks that were made of runs.
CACHE = "ESVAE_CACHE"


def open_network(source: str | os.PathLike[str]) -> Network:
    """The network of a ``.net`` file, or the integer decoder of a run before any lowering.

    Args:
        source: the file, a run directory, or ``pretrained:NAME``.

    Raises:
        EsvaeError: none of these, or not sound.
    """
    if names_run(source):  # what trains a model is imported for a run alone: a file is read at once
        from esvae.run import load_run
        from export.pipeline import integer_network

        return integer_network(load_run(source), lowering="none")[0]
    return read_netx(_checked_kind(Path(source)))


def network_file(source: str | os.PathLike[str], making: Callable[[Path], None] | None = None) -> Path:
    """A network file for what is named: a file is its own, a run is exported into the cache unless it is there already.

    Args:
        source: the file, whatever it is, a run directory, or ``pretrained:NAME``.
        making: called with the file's place before one is made.

    Raises:
        CheckpointError: a directory that holds no run, or a damaged one.
        EsvaeError: it cannot be exported, or the cache cannot be written.
    """
    if not names_run(source):
        return _checked_kind(Path(source))
    folder = run_folder(source)
    name = os.fspath(source).rpartition(":")[2] if names_pretrained(source) else folder.resolve().name
    target = cache_folder() / f"{name}-{_made_of(folder)[:16]}.net"
    if target.is_file():
        return target
    from esvae.run import load_run
    from export.frontends import from_run
    from export.pipeline import export_network

    if making is not None:
        making(target)
    try:
        return export_network(from_run(load_run(source)), target).path
    except EsvaeError as error:
        if target.parent.is_dir() and os.access(target.parent, os.W_OK):
            raise
        raise EsvaeError(f"{source}: {error}; or set {CACHE} to a folder that can be written") from None


def _checked_kind(path: Path) -> Path:
    """Refuses a file whose name says that it is none with a network."""
    kind = kind_of_file(path)
    if kind is not None and path.suffix.lower() not in (".net", ".nir") and path.is_file():
        raise NetFileError(f"{path}: {kind}; expected a network file, a run directory or pretrained:NAME")
    return path


def names_run(source: str | os.PathLike[str]) -> bool:
    """Whether this is a run directory, or ``pretrained:NAME``, and no file."""
    return names_pretrained(source) or Path(source).is_dir()


def cache_folder() -> Path:
    """Where networks that were made of runs are kept; it may be removed at any time."""
    if named := os.environ.get(CACHE):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "esvae" / "networks"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "esvae" / "networks"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "esvae" / "networks"


def _made_of(folder: Path) -> str:
    """SHA-256 of what decides the file: config and weights of the run, and the sources of the exporter."""
    import export

    sources = sorted(Path(path).resolve() for root in export.__path__ for path in Path(root).rglob("*.py"))
    read = [*(folder / name for name in RUN_FILES[:2]), *sources]
    return hashlib.sha256("\n".join([__version__, *map(sha256_file, read)]).encode()).hexdigest()
