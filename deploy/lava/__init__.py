"""Lava as a second opinion: always in its own process, with whichever interpreter has it."""

__all__: list[str] = []
