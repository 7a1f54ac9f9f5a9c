"""Pass: refuses a generator whose registers could leave their range, whatever spikes arrive."""

from __future__ import annotations

from esvae.errors import HardwareRangeError
from export.ir import Network
from export.ir.bounds import LayerRange
from export.ir.layer_ranges import layer_ranges

__all__ = ["check_ranges"]


def check_ranges(network: Network) -> list[LayerRange]:
    """The :func:`~export.ir.layer_ranges.layer_ranges` of a generator that stays within its registers.

    Raises:
        HardwareRangeError: a current could wrap, or the readout could fire or saturate.
    """
    report = layer_ranges(network)
    for bounds in report:
        if bounds.u_share >= 1:
            raise HardwareRangeError(
                f"{bounds.layer}: the current could reach {bounds.u_share:.2f} of the 2^23 at which it wraps; "
                "use a smaller weight scale for it, or fewer inputs a neuron"
            )
    if network.readout is not None and report[-1].v_share >= 1:
        raise HardwareRangeError(
            f"{report[-1].layer}: the readout's potential could reach {report[-1].v_share:.2f} of 2^23 and saturate; "
            "use a smaller weight scale for it"
        )
    return report
