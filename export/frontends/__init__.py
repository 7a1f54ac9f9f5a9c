"""What can be exported: each frontend turns a trained model into a :class:`~export.ir.floats.FloatNetwork`.

Sigma-delta blocks, whose scales are fixed, become the integer :class:`~export.ir.Network` at once.
"""

from export.frontends.esvae_run import from_run
from export.frontends.netx_file import from_netx
from export.frontends.nir import from_nir, is_nir, read_nir
from export.frontends.norse import from_norse
from export.frontends.official import from_official
from export.frontends.slayer import from_slayer
from export.frontends.slayer_sigma_delta import from_slayer_sigma_delta
from export.frontends.snntorch import from_snntorch
from export.frontends.source import is_netx, load_source
from export.frontends.spikingjelly import from_spikingjelly

__all__ = [
    "from_netx",
    "from_nir",
    "from_norse",
    "from_official",
    "from_run",
    "from_slayer",
    "from_slayer_sigma_delta",
    "from_snntorch",
    "from_spikingjelly",
    "is_netx",
    "is_nir",
    "load_source",
    "read_nir",
]
