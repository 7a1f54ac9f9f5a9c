"""Chips, and how a network is mapped to their cores."""

__all__: list[str] = []
