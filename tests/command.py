"""Calls the command line in this process, as a shell would."""

from __future__ import annotations

import pytest

from deploy.cli import main

__all__ = ["call"]


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, what it printed, and its errors."""
    capsys.readouterr()
    try:  # an error that is kept would keep its caller's variables, open files among them
        main([str(a) for a in arguments])
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert isinstance(code, int)
    return code, captured.out, captured.err
