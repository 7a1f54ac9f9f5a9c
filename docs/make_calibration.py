"""Exports a run with every calibration and several weight widths, compares each file with the run, and writes the
table between the marks of ``docs/export.md``.

    python docs/make_calibration.py runs/digits

``esvae train digits --out runs/digits`` makes that run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from deploy.compare import CompareOptions, compare
from esvae.machine.files import write_text
from esvae.run import load_run
from export.passes import CALIBRATIONS
from export.pipeline import export_run

PAGE = Path(__file__).with_name("export.md")
BEGIN, END = "<!-- calibration: begin -->\n", "<!-- calibration: end -->"
BITS = (8, 6, 4, 3, 2)
IMAGES = 512


def table(directory: str) -> str:
    """Markdown: a row for each width, a column for each calibration."""
    run = load_run(directory)
    rows, exact = [], ""
    for bits in BITS:
        cells = []
        for calibration in CALIBRATIONS:
            with tempfile.TemporaryDirectory() as folder:
                net = export_run(run, Path(folder) / "f.net", weight_bits=bits, calibration=calibration).path
                found = compare(directory, net, CompareOptions(IMAGES, parts=frozenset({"reconstruction"}), metrics=()))
            assert found.reconstruction is not None
            exact = f"{found.reconstruction.float.value:.4f}"
            cells.append(f"{found.quality.psnr.mean.value:.1f} dB, {found.reconstruction.quantized.value:.4f}")
        rows.append(f"| {bits} | " + " | ".join(cells) + " |")
        print(rows[-1], file=sys.stderr)
    head = [
        f"| bits | {' | '.join(f'`{name}`' for name in CALIBRATIONS)} |",
        "| ---: |" + " ---: |" * len(CALIBRATIONS),
    ]
    says = (
        f"Made by `python docs/make_calibration.py runs/digits`. First the PSNR of {IMAGES} pictures against the\n"
        "float decoder's of the same latent spikes, then the reconstruction MSE over the test images, which is\n"
        f"{exact} in float.\n"
    )
    return "\n".join([says, *head, *rows, ""])


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    write_text(PAGE, before + BEGIN + table(sys.argv[1]) + END + after)


if __name__ == "__main__":
    main()
