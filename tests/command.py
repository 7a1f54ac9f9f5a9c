"""Calls the command line in this process, as a shell would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.app import application
from deploy.cli import main

__all__ = ["answer", "call"]


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


def answer(*arguments: object) -> dict[str, Any]:
    """What a command that succeeds says with ``--json``."""
    words = [*map(str, arguments), "--json"]
    result = CliRunner().invoke(application(words), words)
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found
