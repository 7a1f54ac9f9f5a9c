"""Circuits out of stock neurons: a generator that draws its own random bits, components and latent spikes."""
