"""The float model: encoder, posterior and prior, decoder, and what they are built of."""

from esvae.model.esvae import ESVAE, mmd

__all__ = ["ESVAE", "mmd"]
