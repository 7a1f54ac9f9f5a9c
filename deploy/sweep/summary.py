"""A sweep as files: ``sweep.json`` for machines, ``sweep.csv`` for spreadsheets, ``pareto.png`` for people."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploy.sweep.plot import save_front
from deploy.sweep.run import Sweep
from deploy.sweep.store import STORE_FORMAT
from esvae.machine.files import write_text
from esvae.run import versions

__all__ = ["as_json", "save_summary", "table"]


def as_json(found: Sweep) -> dict[str, Any]:
    """All of it, with what is an estimate called one."""
    return {
        "format": STORE_FORMAT,
        "versions": versions(),
        "run": found.run,
        "weights_sha256": found.weights_hash,
        "trained_steps": found.trained_steps,
        "protocol": asdict(found.protocol),
        "front": {"quality": found.quality, "energy": found.profile, "energy_label": "estimate"},
        "evaluated": found.counted("evaluated"),
        "kept": found.counted("kept"),
        "failed": found.counted("failed"),
        "notes": list(found.notes),
        "points": [
            {
                **asdict(entry.point),
                "front": entry.front,
                "source": entry.source,
                "error": entry.error,
                "key": entry.key,
                "net": None if entry.error else f"points/{entry.key}.net",
                **(entry.outcome or {}),
            }
            for entry in found.points
        ],
    }


def table(found: Sweep) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of the CSV: one row a point, every figure in its own column, empty where there is none."""
    rows = []
    for entry in found.points:
        row: dict[str, Any] = {**asdict(entry.point), "front": entry.front, "source": entry.source}
        outcome = entry.outcome or {}
        if outcome:
            row["lowered"], row["net_bytes"] = outcome["file"]["lowering"], outcome["file"]["bytes"]
        for name, estimate in outcome.get("quality", {}).items():
            row |= {name: estimate["value"], f"{name}_low": estimate["low"], f"{name}_high": estimate["high"]}
        row |= {f"{name}_an_image": outcome["counts"][name] for name in ("synops", "updates", "spikes") if outcome}
        for profile, energy in outcome.get("energy", {}).items():
            row[f"joules_estimate_{profile}"] = energy["joules"]
        for chip, cores in outcome.get("cores", {}).items():
            row[f"cores_estimate_{chip}"] = cores["cores"]
        rows.append({**row, "key": entry.key, "error": entry.error})
    header = list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))
    return header, [[row.get(name) for name in header] for row in rows]


def save_summary(found: Sweep, folder: Path) -> list[Path]:
    """Writes the three files into ``folder``; the picture only where a point is there to draw."""
    paths = [folder / "sweep.json", folder / "sweep.csv"]
    write_text(paths[0], json.dumps(as_json(found), indent=1) + "\n")
    text = io.StringIO()
    header, rows = table(found)
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(paths[1], text.getvalue())
    if any(entry.outcome is not None for entry in found.points):
        paths.append(folder / "pareto.png")
        save_front(found, paths[-1])
    return paths
