"""Lava-DL's netx files: their layout, reading and writing, and what stock netx would make of them."""

from export.netx.guard import read_netx
from export.netx.write import write_netx

__all__ = ["read_netx", "write_netx"]
