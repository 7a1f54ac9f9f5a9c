"""The tables of every result, each made once.

All functions take a result's plain form, that is what ``--json`` prints or ``report.json`` holds, so a table can be
made again from a file; :func:`deploy.view.table.plain` makes it of a dataclass.
"""

from deploy.view.tables.comparison import comparison_tables, metric_name
from deploy.view.tables.costs import cost_tables, counts_tables, energy_tables, fit_tables
from deploy.view.tables.files import (
    check_tables,
    diff_tables,
    fidelity_table,
    inspection_tables,
    network_table,
    quantization_tables,
)
from deploy.view.tables.runs import (
    configs_table,
    data_table,
    demo_tables,
    doctor_table,
    evaluation_tables,
    plan_tables,
    pretrained_table,
    probe_table,
    sweep_tables,
    training_table,
    validation_tables,
    verification_tables,
    versions_table,
)

__all__ = [
    "check_tables",
    "comparison_tables",
    "configs_table",
    "cost_tables",
    "counts_tables",
    "data_table",
    "demo_tables",
    "diff_tables",
    "doctor_table",
    "energy_tables",
    "evaluation_tables",
    "fidelity_table",
    "fit_tables",
    "inspection_tables",
    "metric_name",
    "network_table",
    "plan_tables",
    "pretrained_table",
    "probe_table",
    "quantization_tables",
    "sweep_tables",
    "training_table",
    "validation_tables",
    "verification_tables",
    "versions_table",
]
