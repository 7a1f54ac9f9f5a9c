"""Tables of runs: plan, verification, evaluation, training, demo, and sweeps of exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.view.numbers import NONE, shape, si, whole
from deploy.view.prose import counted
from deploy.view.table import (
    Column,
    Table,
    count_column,
    interval_column,
    joules,
    layer,
    number_column,
    seconds_column,
    words,
)
from deploy.view.tables.comparison import metric_name

__all__ = [
    "configs_table",
    "data_table",
    "demo_tables",
    "doctor_table",
    "evaluation_tables",
    "plan_tables",
    "pretrained_table",
    "probe_table",
    "sweep_tables",
    "training_table",
    "validation_tables",
    "verification_tables",
    "versions_table",
]


def plan_tables(plan: Mapping[str, Any], *, title: str = "Plan") -> list[Table]:
    """When each layer first works, and when it is reset; of ``plan --json``."""
    steps = plan["steps"]
    rows = tuple((one["layer"], one["first"], one["reset_phase"]) for one in plan["layers"])
    columns = (
        layer(),
        count_column("first at", help="time step, from 1"),
        Column("reset at", lambda phase: f"{phase} mod {steps}", help="time steps that leave this rest"),
    )
    return [Table("plan", f"{title}: {counted(plan['images'], 'image')} of {counted(steps, 'step')}", columns, rows)]


def verification_tables(found: Mapping[str, Any]) -> list[Table]:
    """One row a backend; of ``verification`` in report.json."""
    rows = []
    for row in found["backends"]:
        if row["verdict"] == "not run":
            rows.append((row["backend"], "not run", None, None, row["reason"]))
            continue
        about = ", ".join(f"{name} {version}" for name, version in row["about"].items())
        remark = f"first at {row['difference']}" if row["difference"] else about
        rows.append((row["backend"], row["verdict"], row["integers"], row["seconds"], remark))
    columns = (
        words("backend"),
        words("verdict"),
        count_column("integers compared"),
        seconds_column("took"),
        words("with, or why not"),
    )
    title = "The same spikes on each backend, every integer against the twin's"
    return [Table("verification", title, columns, tuple(rows))]


def evaluation_tables(done: Mapping[str, Any], *, title: str = "Against real images") -> list[Table]:
    """Metrics of a run beside those of real images and the paper's; of ``evaluate --json``."""
    paper = done.get("paper") or {}
    columns = [words("metric"), interval_column("value [95 %]"), interval_column("real images [95 %]")]
    if paper:
        columns.append(number_column("paper", 4, help="FAD: of the published autoencoder and protocol alone"))
    rows = tuple(
        (metric_name(key), value, done["floor"].get(key), paper.get(key))[: len(columns)]
        for key, value in done["values"].items()
    )
    return [Table("metrics", title, tuple(columns), rows)]


def training_table(epochs: Sequence[Mapping[str, Any]]) -> Table:
    """Losses of some epochs, the first and the last among them."""
    wanted = range(len(epochs) // 5, len(epochs), max(1, len(epochs) // 5))
    chosen = sorted({0, *wanted, len(epochs) - 1}) if epochs else []
    keys = ("epoch", "reconstruction_mse", "mmd", "total", "seconds")
    return Table(
        "training",
        "Training: some epochs",
        (count_column("epoch"), *map(number_column, ("reconstruction MSE", "MMD", "loss")), count_column("seconds")),
        tuple(tuple(epochs[k][key] for key in keys) for k in chosen),
    )


def versions_table(made: Mapping[str, str], trained: Mapping[str, str]) -> Table:
    """Packages by which the report and the run were made."""
    names = [*made, *(name for name in trained if name not in made)]
    rows = tuple((name, made.get(name, NONE), trained.get(name, NONE)) for name in names)
    return Table("versions", "Versions", tuple(map(words, ("package", "report", "training"))), rows)


def demo_tables(done: Mapping[str, Any]) -> list[Table]:
    """What a demo measured, one figure a row; of ``demo --json``."""
    counted = {"spikes": "spikes an image", "synops": "synaptic operations an image"}
    rows = [
        ("reconstruction MSE in training", done["training_mse"]),
        ("reconstruction MSE on held-out images", done["test_mse"]),
        ("MSE between float and integer images", done["float_integer_mse"]),
        ("bytes of the network file", done["file_bytes"]),
        *((f"{title}, {one['layer']}", one[key]) for key, title in counted.items() for one in done["counts"]),
        *((f"seconds to {stage}", took) for stage, took in done["seconds"].items()),
    ]
    return [Table("demo", "Demo", (words("figure"), number_column("measured")), tuple(rows))]


def sweep_tables(found: Mapping[str, Any], labels: Sequence[str], *, title: str = "Sweep") -> list[Table]:
    """One row a point, one that failed too; of ``sweep --json`` and the points' labels."""
    quality, profile = found["front"]["quality"], found["front"]["energy"]
    rows: list[tuple[Any, ...]] = []
    for label, point in zip(labels, found["points"], strict=True):
        if "quality" not in point:
            rows.append((label, "", "failed", *[None] * 7))
            continue
        judged = point["quality"]
        drift = (judged.get(key, {}).get("value") for key in ("quantization_mse", "window_mse"))
        costs = (point["counts"]["synops"], point["energy"][profile]["joules"], point["cores"]["loihi2"]["cores"])
        mark = "*" if point["front"] else ""
        rows.append((label, mark, *_with_half(judged[quality]), *drift, *costs, point["file"]["lowering"]))
    columns = (
        words("point"),
        words("front", help="no other point is better for less energy"),
        Column(quality.replace("_", " "), lambda value: value if isinstance(value, str) else f"{value:.4f}"),
        number_column("± 95 %", 2),
        number_column("quantization", help="MSE against float with the same window"),
        number_column("window", help="MSE of float with this window against the trained one"),
        Column("synaptic operations", lambda value: whole(round(value)), help="an image, exact"),
        joules("energy", help=f"an image, an estimate by {profile}"),
        count_column("cores", help="of Loihi 2, an estimate"),
        words("lowered"),
    )
    several = len({point["lowering"] for point in found["points"]}) > 1
    kept = len(columns) - (not several)
    return [Table("points", title, columns[:kept], tuple(row[:kept] for row in rows))]


def _with_half(estimate: Mapping[str, Any]) -> tuple[float, float | None]:
    """A value, and half the width of its interval."""
    half = None if estimate["high"] is None else (estimate["high"] - estimate["low"]) / 2
    return estimate["value"], half


def doctor_table(checks: Sequence[Mapping[str, Any]]) -> Table:
    """What a Lava run needs, and whether it is there; of ``lava doctor --json``."""
    keys = ("name", "good", "found", "fix")
    verdict = words("good", lambda good: {True: "good", False: "BAD"}[good], help="nothing where it is told alone")
    columns = (words("what"), verdict, words("found"), words("fix"))
    return Table("checks", "What Lava needs", columns, tuple(tuple(check[key] for key in keys) for check in checks))


def validation_tables(
    comparisons: Sequence[Mapping[str, Any]], errors: Sequence[float], *, title: str, name: str = "validation"
) -> list[Table]:
    """Measured figures beside the model's, and by how much that is off; of ``energy --validate --json``."""
    rows = tuple(
        (one["quantity"], one["measured"], one["model"], one["unit"], error)
        for one, error in zip(comparisons, errors, strict=True)
    )
    off = Column("error", lambda error: f"{error:+.1%}", help="of the model, as a share of the measured figure")
    columns = (words("quantity"), number_column("measured", 4), number_column("model", 4), words("unit"), off)
    return [Table(name, title, columns, rows)]


def configs_table(configs: Sequence[Mapping[str, Any]]) -> Table:
    """One row a config that comes with the project; of ``config list --json``."""
    keys = ("name", "data", "image", "time_steps", "about")
    columns = (words("name"), words("data"), Column("image", shape), count_column("steps"), words("about"))
    title = "Configs that come with the project; a command takes the name for a CONFIG"
    return Table("configs", title, columns, tuple(tuple(one[key] for key in keys) for one in configs))


def data_table(found: Mapping[str, Any]) -> Table:
    """What there is of a data set; of ``data check --json``."""
    ends = [found[key] for key in ("smallest", "largest")]
    place = found["place"] or "in scikit-learn"
    row = (found["name"], found["train"], found["test"], *ends, place, ", ".join(found["missing"]))
    columns = (
        words("data"),
        *map(count_column, ("training images", "test images")),
        *(Column(name, shape, help="channels, height, width") for name in ("smallest", "largest")),
        words("place"),
        words("missing"),
    )
    kept = len(columns) - (not found["missing"])
    return Table("data", "Data set", columns[:kept], (row[:kept],))


def pretrained_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """One row a run that comes with the project; of ``pretrained --json``."""
    keys = ("name", "data", "image", "latent", "time_steps", "decoder", "epochs", "training_mse", "bytes")
    columns = (
        words("name"),
        words("data"),
        Column("image", shape),
        *map(count_column, ("latents", "steps")),
        words("decoder"),
        count_column("epochs"),
        number_column("training MSE", help="reconstruction of the training images, pixels in [-1, 1], last epoch"),
        Column("size", lambda size: si(size, "B"), "B"),
    )
    title = "Runs that come with the project; a command takes pretrained:NAME for a run or a network file"
    return Table("pretrained", title, columns, tuple(tuple(run[key] for key in keys) for run in runs))


def probe_table(found: Mapping[str, Any], *, title: str) -> Table:
    """Every check of a sampler, and whether it raises an alarm; of ``probe --json``."""
    rows = tuple(
        (check["name"], check["value"], check["what"], check["p"], "holds" if check["p"] >= found["alarm"] else "ALARM")
        for check in found["checks"]
    )
    chance = number_column("p", 2, help="probability that a perfect source looks as bad; 1 or 0 of an exact check")
    columns = (words("check"), number_column("figure", 4), words("of"), chance, words("verdict"))
    return Table("probe", title, columns, rows)
