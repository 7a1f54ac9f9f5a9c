"""Files of the Neuromorphic Intermediate Representation."""

__all__: list[str] = []
