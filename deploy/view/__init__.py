"""How results are shown at the terminal and as plots."""

__all__: list[str] = []
