"""Calls the command line in this process, as a shell would."""

from __future__ import annotations

import pytest

from deploy.cli import main

__all__ = ["call"]


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, what it printed, and its errors."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert isinstance(done.value.code, int)
    return done.value.code, captured.out, captured.err
