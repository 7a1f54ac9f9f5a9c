"""Executes the cells of each notebook, in order, in one namespace, and writes them with what they gave.

    python docs/make_notebook.py demo/decoder.net

``esvae demo`` makes that file. No Jupyter is needed to make the notebook, only to open it.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from notebook_norse import CELLS as NORSE

from deploy.notebook import SHOWN, html_of
from esvae.machine.files import write_text

DRAWING = [
    "# Drawing with a network file\n\nThe file that `esvae demo` leaves, loaded and run in the chip's integers. "
    "Three lines are enough:",
    'import esvae\n\nmodel = esvae.load("decoder.net")\nmodel.generate(n=64, seed=0)',
    "What is in the file, and when each layer works on each image on the chip's clock:",
    "model",
    "As a drawing, with the cores of a Loihi 2 that each layer takes:",
    "model.draw()",
    "Every current, potential and spike of four images; the pictures as they emerge, with a slider over the steps "
    '(`.save("digits.gif")` keeps them):',
    "traces = model.trace(n=4, seed=0)\ntraces.emergence()",
    "Which neurons of layer 1 fire when, and four membrane potentials:",
    "traces.plot_raster(1)",
    "traces.plot_membrane(1)",
    "plan = model.plan(64)\nplan.total, plan.latency, plan.windows[:3]",
    "Every backend gives the same integers. Here Lava draws, with the Poisson sampler inside its graph, so that "
    "nothing but rate codes enters; then the potentials are compared with the twin's:",
    'lava = model.generate(n=8, seed=0, backend="lava", loader="native", sampler="graph")\n'
    "twin = model.generate(n=8, seed=0)\n(lava.potentials == twin.potentials).all()",
    "lava",
    "All currents, potentials and spikes of all layers, against the numpy reference and stock netx in Lava:",
    "verdict = model.verify(n=2)\nverdict.equal, verdict.integers, verdict.differences",
]


def executed(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs one cell; gives its outputs as a notebook holds them.

    What is executed are the cells written out in this file, nothing that is read from anywhere.
    """
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None  # type: ignore[attr-defined]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), names)
        value = eval(compile(last, "<cell>", "eval"), names) if last is not None else None
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue()})
    if value is not None:
        outputs.append({"output_type": "execute_result", "data": shown(value), "metadata": {}})
    return outputs


def shown(value: Any) -> dict[str, Any]:
    """What a notebook shows of a value, by the kind of data."""
    data: dict[str, Any] = {"text/plain": repr(value)}
    if hasattr(value, "_repr_png_"):
        data["image/png"] = base64.b64encode(value._repr_png_()).decode("ascii")
    elif isinstance(value, Axes):
        buffer = io.BytesIO()
        value.figure.savefig(buffer, format="png", dpi=110)
        data["image/png"] = base64.b64encode(buffer.getvalue()).decode("ascii")
    elif hasattr(value, "_repr_html_"):
        data["text/html"] = value._repr_html_()
    elif type(value) in SHOWN:
        data["text/html"] = html_of(value)
    return data


def notebook(sources: list[str], net: Path) -> dict[str, Any]:
    """Cells, executed in a folder of their own that holds the file."""
    cells: list[dict[str, Any]] = []
    names: dict[str, Any] = {}
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "decoder.net").write_bytes(net.read_bytes())
        os.chdir(folder)
        for index, source in enumerate(sources):
            cell: dict[str, Any] = {"id": f"cell{index}", "metadata": {}, "source": source}
            try:
                ast.parse(source)
            except SyntaxError:
                cells.append({"cell_type": "markdown", **cell})
                continue
            if source.startswith("#"):
                cells.append({"cell_type": "markdown", **cell})
                continue
            count += 1
            outputs = executed(source, names)
            for output in outputs:
                if output["output_type"] == "execute_result":
                    output["execution_count"] = count
            cells.append({"cell_type": "code", "execution_count": count, "outputs": outputs, **cell})
        os.chdir("/")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    net = Path(sys.argv[1]).resolve()
    for name, sources in {"notebook": DRAWING, "notebook_norse": NORSE}.items():
        write_text(here / f"{name}.ipynb", json.dumps(notebook(sources, net), indent=1) + "\n")
