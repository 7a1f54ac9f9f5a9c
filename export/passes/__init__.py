"""The passes from a float description to an integer network: pure functions, one file each."""

from export.passes.calibrate import CALIBRATIONS, Calibration, calibrate, calibration_spikes
from export.passes.fidelity import LayerFidelity, fidelity_spikes, layer_fidelity
from export.passes.fold_norm import fold_norm
from export.passes.lower_dense import lower_dense
from export.passes.lower_subpixel import lower_subpixel
from export.passes.lowering_costs import LoweringCost, lowering_costs
from export.passes.quantize import LayerQuantization, quantize
from export.passes.range_check import check_ranges
from export.passes.rate_check import check_rates, departures, remedy

__all__ = [
    "CALIBRATIONS",
    "Calibration",
    "LayerFidelity",
    "LayerQuantization",
    "LoweringCost",
    "calibrate",
    "calibration_spikes",
    "check_ranges",
    "check_rates",
    "departures",
    "fidelity_spikes",
    "fold_norm",
    "layer_fidelity",
    "lower_dense",
    "lower_subpixel",
    "lowering_costs",
    "quantize",
    "remedy",
]
