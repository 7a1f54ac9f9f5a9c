"""Lava-DL's netx files: their layout, reading and writing, and what stock netx would make of them."""

__all__: list[str] = []
