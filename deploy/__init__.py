"""Running and judging exported networks: Lava, verification, pictures, the command line."""

__all__: list[str] = []
