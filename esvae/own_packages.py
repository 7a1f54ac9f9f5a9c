"""``export``, ``sim`` and ``deploy``: found beside ``esvae``, whatever of these names lies in the working folder.

The names are anybody's: many a research repository has an ``export.py`` or a folder ``deploy``. Python looks where it
is run before it looks among installed packages; a finder that is asked first answers for these three names alone.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from esvae.errors import EsvaeError

__all__ = ["OWN_PACKAGES", "claim"]

OWN_PACKAGES = ("export", "sim", "deploy")
_ROOT = Path(__file__).parent.parent


class _Beside(MetaPathFinder):
    """Finds the project's packages in the folder that ``esvae`` itself is in."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [str(_ROOT)]) if fullname in OWN_PACKAGES else None


def claim(*, quiet: bool = False) -> None:
    """Makes the three names this project's in this process, from now on.

    Args:
        quiet: without a warning about modules of these names that others can no longer import here.

    Raises:
        EsvaeError: another module of such a name has been imported already.
    """
    for name in OWN_PACKAGES:
        module = sys.modules.get(name)
        if module is not None and not _own(name, module.__spec__):
            where = getattr(module, "__file__", None) or "another module"
            raise EsvaeError(
                f"{where}: was imported as '{name}', which is the name of a package of esvae-loihi too; "
                "rename it, or use esvae in a process that does not import it"
            )
    if any(isinstance(finder, _Beside) for finder in sys.meta_path):
        return
    hidden = [] if quiet else [spec for name in OWN_PACKAGES if (spec := _elsewhere(name)) is not None]
    sys.meta_path.insert(0, _Beside())
    for spec in hidden:
        warnings.warn(
            f"'{spec.name}' means a package of esvae-loihi from here on, not {spec.origin}; rename that to import it",
            stacklevel=2,
        )


def _elsewhere(name: str) -> ModuleSpec | None:
    """What a name would mean without us, where that is another file."""
    spec = PathFinder.find_spec(name)
    return None if spec is None or spec.origin is None or name in sys.modules or _own(name, spec) else spec


def _own(name: str, spec: ModuleSpec | None) -> bool:
    """Whether this is the package that lies beside ``esvae``."""
    if spec is None or spec.origin is None:
        return False
    return Path(spec.origin).resolve() == (_ROOT / name / "__init__.py").resolve()
