"""Spiking variational autoencoders in PyTorch: the float model, its training and its run directory."""

__version__ = "0.1.0"

__all__ = ["__version__"]
