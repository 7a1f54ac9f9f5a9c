"""Arrays' axes and kinds, which the annotations of public functions state, checked at every call while tests run.

Outside of tests nothing is checked, and beartype is not imported.
"""

from __future__ import annotations

from pathlib import Path

from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("esvae", "export", "sim", "deploy")

#: An int may stand for a float, as PEP 484 says.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"


def checked_modules() -> list[str]:
    """Modules that annotate arrays, but for those that numba compiles: the hook wraps all functions, a kernel too."""
    found = []
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        text = path.read_text("utf-8")
        compiled = "\nimport numba\n" in text or "\nfrom esvae.machine.jit import" in text
        if "\nfrom esvae.arrays import" in text and not compiled:
            found.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


def check_arrays() -> None:
    """Wraps every function of :func:`checked_modules`, and every dataclass; before any of them is imported."""
    install_import_hook(checked_modules(), CHECKER)
