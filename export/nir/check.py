"""What exporting a NIR graph would come to, without a file: what was assumed, what is refused, what the chip says."""

from __future__ import annotations

import os

from esvae.errors import EsvaeError
from export.frontends.nir import NirMeaning, read_nir
from export.netx.check import Finding, More
from export.netx.items import check_there
from export.pipeline import compiled

__all__ = ["check_nir"]


def check_nir(
    path: str | os.PathLike[str], meaning: NirMeaning | None = None, more: More | None = None
) -> list[Finding]:
    """Reads a graph, quantizes it in memory, and collects what there is to say.

    Args:
        path: the ``.nir`` file.
        meaning: what it leaves open, as far as it is known.
        more: gives further findings of the integer network.

    Raises:
        NetFileError: it is missing, or is not HDF5.
    """
    check_there(path)
    found: list[Finding] = []
    try:
        source = read_nir(path, meaning or NirMeaning())
        found += [Finding("warning", "file", text) for text in source.warnings]
        found += [Finding("note", "file", text) for text in source.notes]
        done = compiled(source.network)
    except EsvaeError as error:
        return [*found, Finding("error", "file", f"cannot be exported: {error}")]
    return [*found, *(() if more is None else more(done.network))]
