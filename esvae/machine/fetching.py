"""How far a download is, told to a callback: torchvision and torch.hub draw a bar of their own, which spoils ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = ["told_downloads"]

_MEGABYTE = 1_000_000


@contextmanager
def told_downloads(module: ModuleType, tell: Callable[[str], None]) -> Iterator[None]:
    """Downloads of ``module`` inside draw no bar.

    Args:
        module: one that draws with ``tqdm``, as ``torchvision.datasets.utils`` and ``torch.hub`` do.
        tell: called with how much of the file has come, such as ``3.2 of 9.9 MB``.
    """
    if (drawn := getattr(module, "tqdm", None)) is None:
        yield
        return

    class Told:
        """Stands in for ``tqdm``."""

        def __init__(self, *_: Any, total: int | None = None, **__: Any) -> None:
            self._total, self._come = total, 0
            self.update(0)

        def update(self, count: int) -> None:
            self._come += count
            of = f" of {self._total / _MEGABYTE:.1f}" if self._total else ""
            tell(f"{self._come / _MEGABYTE:.1f}{of} MB")

        def __enter__(self) -> Told:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def close(self) -> None:
            pass

    module.tqdm = Told  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.tqdm = drawn  # type: ignore[attr-defined]
