"""The command line: one application over the verbs in :mod:`deploy.commands`.

Exit status: 0 where what was asked is done and holds, 1 where it failed or does not hold, 2 for wrong usage, 130 when
interrupted.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy import commands
from esvae import __version__
from esvae.errors import EsvaeError

__all__ = ["app", "main"]

app = typer.Typer(
    name="esvae",
    help="Spiking variational autoencoders from PyTorch to Loihi 2.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"esvae-loihi {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Spiking variational autoencoders from PyTorch to Loihi 2."""


for _verb in commands.__all__:
    _command = getattr(commands, _verb)
    if isinstance(_command, typer.Typer):
        app.add_typer(_command)  # a group of commands, such as `esvae lava install`
    else:
        app.command()(_command)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console script; turns a user's mistakes into one line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if sys.stderr is None:  # closed by the caller: what is said there is for nobody
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:
        _fail("standard output is closed; send it to a file, or to /dev/null", [])
        sys.exit(1)
    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except EsvaeError as error:
        _fail(str(error), arguments)
        code = 1
    except KeyboardInterrupt:
        _fail("interrupted", arguments)
        code = 130
    except typer.Abort:
        code = 130
    except OSError as error:
        _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", [])
        _drop_output()
        code = 1
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _fail(error.format_message(), arguments)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, arguments: list[str]) -> None:
    line = " ".join(message.split())
    if "--json" in arguments:
        from deploy.view.console import emit_json

        with contextlib.suppress(OSError):
            emit_json({"error": line})
            sys.stdout.flush()
    with contextlib.suppress(OSError):
        print(f"error: {line}", file=sys.stderr)


def _drop_output() -> None:
    """Sends what is left for standard output nowhere, or Python would fail on it once more at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
