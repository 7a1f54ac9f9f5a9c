"""From a trained model to integers that the chip holds, and to files that others load."""

from export.ir import Network
from export.netx import read_netx, write_netx
from export.pipeline import Exported, export_network, export_run, integer_network

__all__ = ["Exported", "Network", "export_network", "export_run", "integer_network", "read_netx", "write_netx"]
