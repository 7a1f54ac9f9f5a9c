"""What tests of Lava share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its own for temporary files, with a path short enough for sockets."""
    return tmp_path_factory.mktemp("t")
