"""The command line: one application over the verbs in :mod:`deploy.commands`.

Exit status: 0 where what was asked is done and holds, 1 where it failed or does not hold, 2 for wrong usage, 130 when
interrupted.
"""

from __future__ import annotations

import sys
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
    try:
        code = app(args=arguments, standalone_mode=False)
    except EsvaeError as error:
        _fail(str(error), arguments)
        code = 1
    except KeyboardInterrupt:
        _fail("interrupted", arguments)
        code = 130
    except typer.Abort:
        code = 130
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _fail(error.format_message(), arguments)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, arguments: list[str]) -> None:
    from deploy.view.console import emit_json

    line = " ".join(message.split())
    if "--json" in arguments:
        emit_json({"error": line})
    print(f"error: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
