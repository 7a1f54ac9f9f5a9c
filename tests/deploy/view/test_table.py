"""Tables: what a record and CSV hold, and that a terminal of any width shows every number whole."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from deploy.view.numbers import NONE
from deploy.view.table import (
    Table,
    count_column,
    interval_column,
    joules,
    layer,
    number_column,
    plain,
    range_of,
    save_csv,
    share,
    words,
)
from deploy.view.tables import (
    check_tables,
    comparison_tables,
    cost_tables,
    diff_tables,
    evaluation_tables,
    fidelity_table,
    fit_tables,
    inspection_tables,
    plan_tables,
    quantization_tables,
    sweep_tables,
    training_table,
    verification_tables,
)
from deploy.view.terminal import blocks
from depth import examples

WIDTHS = (80, 100, 160)


def shown(table: Table, width: int) -> str:
    """What a terminal of so many columns shows."""
    out = io.StringIO()
    console = Console(file=out, width=width)
    for block in blocks(table, width):
        console.print(block)
    return out.getvalue()


def small() -> Table:
    rows = (
        ("layer 1 (conv)", 1234567, 0.5, {"value": 1.5, "low": 1.0, "high": None}, 2e-6, {"low": 1e-6, "high": 3e-6}),
        ("all", 1234567, None, None, None, None),
    )
    columns = (
        layer(),
        count_column("spikes"),
        share("part"),
        interval_column("MSE"),
        joules("energy"),
        range_of("range", "J"),
    )
    return Table("small", "Small", columns, rows, total=True)


def test_records_are_plain_values_with_units_and_without_the_sum() -> None:
    assert small().to_records() == [
        {
            "layer": "layer 1 (conv)",
            "spikes": 1234567,
            "part": 0.5,
            "MSE": 1.5,
            "MSE low": 1.0,
            "MSE high": None,
            "energy [J]": 2e-6,
            "range low [J]": 1e-6,
            "range high [J]": 3e-6,
        }
    ]


def test_people_read_the_same_rows() -> None:
    assert small().texts() == [
        ["1 (conv)", "1,234,567", "50.0 %", "1.5", "2.00 µJ", "1.00 to 3.00 µJ"],
        ["all", "1,234,567", "–", "–", "–", "–"],
    ]


def test_csv_has_the_records(tmp_path: Path) -> None:
    (path,) = save_csv([small()], tmp_path / "s.csv")
    (row,) = csv.DictReader(io.StringIO(path.read_text("utf-8")))
    assert {key: "" if value is None else str(value) for key, value in small().to_records()[0].items()} == row


def test_several_tables_go_to_files_of_their_names(tmp_path: Path) -> None:
    other = Table("other", "Other", (words("name"),), (("a, b",),))
    paths = save_csv([small(), other], tmp_path / "s.csv")
    assert [path.name for path in paths] == ["s.small.csv", "s.other.csv"]
    assert paths[1].read_text("utf-8") == 'name\n"a, b"\n'


def test_an_empty_table_still_has_its_header() -> None:
    assert Table("t", "T", (words("name"), joules("energy")), ()).to_csv() == "name,energy [J]\n"


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        ((words("a"), words("a")), (), "two columns of one name"),
        ((words("a"), words("b")), (("x",),), "a row of 1 values, expected 2"),
    ],
)
def test_a_table_that_does_not_hold_together(columns: Any, rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Table("t", "T", columns, rows)


def test_plain_has_what_json_has() -> None:
    assert plain({"a": (1.0, float("nan")), 2: Path("x")}) == {"a": [1.0, None], "2": "x"}


@settings(max_examples=examples(40))
@given(
    values=st.lists(st.integers(0, 10**12), min_size=1, max_size=14),
    name=st.text(st.characters(categories=("Lu", "Ll", "Nd"), max_codepoint=255), min_size=1, max_size=60),
    width=st.integers(60, 200),
)
def test_no_width_cuts_a_number(values: list[int], name: str, width: int) -> None:
    columns = (words("what"), *(count_column(f"long name of column {k}") for k in range(len(values))))
    text = shown(Table("t", "T", columns, ((name, *values),)), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert all(re.search(rf"(?<![\d,]){value:,}(?![\d,])", text) for value in values)


def test_words_with_marks_are_shown_as_they_are() -> None:
    assert "[bold]x[/bold]" in shown(Table("t", "T", (words("what"),), (("[bold]x[/bold]",),)), 80)


ESTIMATE = {"value": 1.23456e-4, "low": 1.2e-4, "high": 1.3e-4}
SPREAD = {"mean": ESTIMATE, "p05": 1e-5, "median": 1.1e-4, "p95": 2e-4, "worst": 3e-4, "worst_image": 4711}
LABELS = ("layer 0 (conv)", "layer 1 (conv)", "layer 13 (conv transpose)")


def comparison() -> dict[str, Any]:
    drift = {
        **dict.fromkeys(("mismatch", "missing", "extra", "agreement"), 0.01234),
        **dict.fromkeys(("rate_float", "rate_quantized", "rate_rms", "membrane"), 1.2345e-4),
    }
    layers = [
        {"name": name, "layout": "cells 2x2", "unmapped": None, "membrane_by_step": [0.1, 0.2], **drift}
        for name in LABELS
    ]
    pair = {"float": ESTIMATE, "quantized": ESTIMATE, "difference": ESTIMATE, "images": 10_000}
    attribution = [{"name": name, "alone": ESTIMATE, "upto": ESTIMATE, "share": 0.5, "added": 0.25} for name in LABELS]
    drawn = {"host": ESTIMATE, "chip": ESTIMATE, "difference": ESTIMATE, "floor": ESTIMATE}
    figures = {name: {**drawn, "bias": None, "larger_is_better": None} for name in ("rate", "silent", "mse", "fad")}
    return {
        "quality": {"images": 10_000, "identical": 1, "mse": SPREAD, "psnr": SPREAD, "ssim": SPREAD},
        "layers": layers,
        "attribution": {"images": 500, "total": ESTIMATE, "remainder": -0.2, "layers": attribution},
        "reconstruction": pair,
        "distribution": {
            "images": 10_000,
            "real": 10_000,
            "distances": {"fad": {**pair, "floor": ESTIMATE, "bias": 1e-5, "larger_is_better": False}},
        },
        "data": "fashion_mnist",
        "samplers": {"images": 10_000, "host_seed": 0, "chip_seed": 3, "figures": figures},
        "noise": [{"kind": "latent", "images": 500, "levels": [0.1], "loss": [pair], "analogue": [ESTIMATE]}],
    }


def costs() -> tuple[dict[str, Any], dict[str, Any]]:
    counts = dict.fromkeys(("neurons", "synapses", "spikes_in", "synops", "spikes", "updates"), 123_456_789.5)
    spread = dict.fromkeys(("min", "low", "median", "high", "max"), 1_234_567_890)
    shares = dict.fromkeys(("activity", "sparsity", "zero_weights"), 0.987)
    layers = [
        {"layer": name, **counts, **shares, "over_images": {"synops": spread}, "macs": {"effective": 1_234_567_890}}
        for name in LABELS
    ]
    quantity = {"value": 1.234e-3, "low": 1e-6, "high": 5e-2}
    estimate = {
        **dict.fromkeys(("energy", "step_time", "interval", "latency", "static_share"), quantity),
        "profile": "loihi1_davies2018",
        "basis": "from silicon figures",
        "parts": [{"name": name, "energy": quantity} for name in ("synaptic operations", "static power")],
    }
    operations = {"images": 64, "steps": 16, "layers": layers, "all_layers": counts}
    return operations, {"estimates": [estimate], "parts": ["synaptic operations", "neuron updates", "static power"]}


def fit() -> dict[str, Any]:
    use = {"neurons": 0.123, "words": 1.0, "axons": 0.0001}
    row = {"kind": "unrolled", "neurons": 65_536, "weight_bits": 8, "words": 12_345_678, "groups": 1, "use": use}
    layers = [{"layer": name, **row, "cores": 1234, "binding": "memory"} for name in LABELS]
    ways = [{"what": "weights of 4 bits", "cores": None, "chips": None, "fits": False}]
    return {"chip": {"title": "Loihi 2", "groups": 16}, "layers": layers, "other_ways": ways}


def inspection() -> dict[str, Any]:
    view = {
        "output_shape": [64, 128, 128],
        **dict.fromkeys(("neurons", "weights", "synapses"), 1_234_567_890),
        "weight_range": [-256, 254],
        "even": False,
        "weight_levels": 255,
        "zeros": 0.5,
        "bias_range": [-4096, 4095],
        "delay_range": [0, 62],
        "neuron": "sigma-delta",
        "voltage_keep": 0.899,
        "current_keep": 0.5,
        "threshold": 131_071,
    }
    item = {"path": "layer/13/weight", "kind": "array", "dtype": "int32", "shape": [64, 64], "text": ""}
    return {
        "input_shape": [64, 1, 1],
        "time_steps": 16,
        "layers": [{"layer": name, **view} for name in LABELS],
        "items": [{**item, "low": -256.0, "high": 254.0}],
    }


def quantization() -> dict[str, Any]:
    errors = dict.fromkeys(("weight_error", "bias_error", "threshold_error", "zeros", "u_share", "v_share"), 0.01234)
    row = {"bits": 8, "scale": 3602.1, "bound_by": "threshold", "clipped": 123_456, **errors}
    return {"quantization_known": True, "rows": [{"layer": name, **row} for name in LABELS]}


def fidelity() -> list[dict[str, Any]]:
    rates = {"rate_float": 0.12345, "rate_integer": 1.2345e-5, "standard_error": 1.2345e-6, "picture_error": None}
    return [{"layer": name, "images": 32, **rates, "verdict": "saturated"} for name in LABELS]


def sweep() -> list[Table]:
    outcome = {
        "quality": {"reconstruction": ESTIMATE, "window_mse": ESTIMATE, "quantization_mse": ESTIMATE},
        "counts": {"synops": 12_345_678.9},
        "energy": {"loihi2_anchored": {"joules": 1.5e-3}},
        "cores": {"loihi2": {"cores": 120}},
        "file": {"lowering": "subpixel"},
    }
    points = [{"lowering": "auto", "front": True, **outcome}, {"lowering": "dense", "front": False}]
    front = {"quality": "reconstruction", "energy": "loihi2_anchored"}
    return sweep_tables({"front": front, "points": points}, ["8 bit, 16 steps", "2 bit, 16 steps, dense"])


def every_table() -> list[Table]:
    finding = {"severity": "warning", "where": "layer 13", "what": "delays of 12,345 steps " * 12}
    difference = {"where": "layer/13/weight", "kind": "value", "what": "123456 of 1234567 differ " * 6}
    backends = [{"backend": "lava", "verdict": "equal", "integers": 123_456_789, "seconds": 12.3, "difference": None}]
    epoch = {"epoch": 150, "reconstruction_mse": 1.2e-4, "mmd": 0.1, "total": 0.2, "seconds": 123.4}
    plan = {"images": 64, "steps": 16, "layers": [{"layer": LABELS[2], "first": 12345, "reset_phase": 15}]}
    return [
        *comparison_tables(comparison()),
        *cost_tables(*costs()),
        *fit_tables(fit()),
        *inspection_tables(inspection()),
        *quantization_tables(quantization()),
        fidelity_table(fidelity()),
        *check_tables([finding]),
        *diff_tables([difference]),
        *verification_tables({"backends": [{**backends[0], "about": {"lava-nc": "0.10.0"}}]}),
        *evaluation_tables({"values": {"fad": ESTIMATE}, "floor": {}, "paper": {"fad": 10.99}}),
        *plan_tables(plan),
        *sweep(),
        training_table([epoch] * 12),
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", every_table(), ids=lambda table: table.name)
def test_every_table_is_whole_at_every_width(table: Table, width: int) -> None:
    text = shown(table, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for row in table.texts():
        for column, cell in zip(table.columns, row, strict=True):
            if not column.words:
                assert re.search(rf"(?<!\S){re.escape(cell)}(?!\S)", text), (column.name, cell)


@pytest.mark.parametrize("table", every_table(), ids=lambda table: table.name)
def test_every_table_has_records(table: Table) -> None:
    records = table.to_records()
    assert len(records) == len(table.rows) - table.total
    names = list(records[0])
    assert len(set(names)) == len(names)
    assert next(csv.reader(io.StringIO(table.to_csv()))) == names


def test_the_papers_figures_stand_beside_where_there_are_any() -> None:
    done = {"values": {"fad": ESTIMATE, "kid": ESTIMATE}, "floor": {"kid": ESTIMATE}}
    (plain,) = evaluation_tables(done)
    (beside,) = evaluation_tables({**done, "paper": {"fad": 10.99}})
    assert [column.name for column in plain.columns] == ["metric", "value [95 %]", "real images [95 %]"]
    assert [row[-1] for row in beside.texts()] == ["10.99", NONE]
    assert [row[:-1] for row in beside.texts()] == plain.texts()


def test_one_digit_more_is_not_lost_in_records() -> None:
    table = Table("t", "T", (words("a"), number_column("b")), (("x", 0.123456789),))
    assert table.texts() == [["x", "0.123"]]
    assert table.to_records() == [{"a": "x", "b": 0.123456789}]


def test_records_from_before_a_part_was_added_still_make_tables() -> None:
    new = comparison()
    old = {key: value for key, value in new.items() if key != "samplers"}
    assert [table.name for table in comparison_tables(new) if table.name != "samplers"] == [
        table.name for table in comparison_tables(old)
    ]
