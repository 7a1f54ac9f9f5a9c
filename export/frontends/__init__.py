"""What can be exported: each frontend turns a trained model into a :class:`~export.float_network.FloatNetwork`."""

from export.frontends.esvae_run import from_run

__all__ = ["from_run"]
