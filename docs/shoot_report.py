"""Takes the pictures of a report's top that README and guide show, with a headless Chromium.

    esvae report runs/digits -o report.html
    python docs/shoot_report.py report.html docs/images/report.png

Beside the light one goes ``report_dark.png``, which the guide shows to those who read it dark.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_WIDTH, _HEIGHT = 1280, 1130


def shoot(page: Path, target: Path, *, dark: bool = False) -> None:
    """Writes the top of a page as PNG, as a window of a desktop shows it."""
    command = next(filter(None, map(shutil.which, _NAMES)), None)
    if command is None:
        raise SystemExit("no Chromium on this machine (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        options += ["--blink-settings=preferredColorScheme=0"] if dark else []
        size = [f"--window-size={_WIDTH},{_HEIGHT}", f"--screenshot={target.resolve()}"]
        subprocess.run([command, *options, *size, page.resolve().as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    report, picture = map(Path, sys.argv[1:3])
    shoot(report, picture)
    shoot(report, picture.with_stem(f"{picture.stem}_dark"), dark=True)
