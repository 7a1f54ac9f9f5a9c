"""What a shell sees of the command line: streams, signals, errors as one line, exit codes.

Exit status: 0 where what was asked is done and holds, 1 where it failed or does not hold, 2 for wrong usage, 128 + the
signal's number where a signal ended it (130 interrupted, 143 terminated, 141 where nobody reads the output any more).
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import sys
from pathlib import Path

from deploy.ending import Ending
from deploy.view.waiting import Waiting
from esvae.errors import EsvaeError

__all__ = ["main"]

_STANDARD_ERROR = 2
#: Exit code of a program whose output is closed before it has ended, as by ``| head``.
_NOBODY_READS = 128 + getattr(signal, "SIGPIPE", 13)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console script; turns a user's mistakes into one line.

    Args:
        arguments: those of this process where None, which then ends with this call.
    """
    given = sys.argv[1:] if arguments is None else arguments
    code = 0
    with Ending() as ending:
        try:
            try:
                code = _run(given)
            except BaseException as error:
                if ending.number is None:
                    code = _failed(error, given)
        except KeyboardInterrupt:
            pass  # while an error was being told
        if arguments is None:
            ending.ignore()
        if ending.number is not None:  # whatever became of it on its way: libraries make errors of their own of it
            code = ending.code
            _fail(ending.message, given)
    if arguments is None:
        gc.freeze()  # what is left is freed with the process: looking through it for circles takes up to a second
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    _open_standard_files()
    if sys.stdout is None:
        raise EsvaeError("standard output is closed; send it to a file, or to /dev/null")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what the locale cannot show is told by its number
            stream.reconfigure(errors="backslashreplace")
    with Waiting(" ".join(("esvae", *arguments[:2]))):
        from deploy.app import application
        from deploy.commands.completion import whole_words

        with whole_words():
            code = application(arguments)(args=arguments, standalone_mode=False)
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _open_standard_files() -> None:
    """Opens what the caller has closed, or the next file or pipe would stand in its place; nobody reads it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives


def _failed(error: BaseException, arguments: list[str]) -> int:
    """Says what an error means to the user; gives the exit code. What is none of the user's is raised again."""
    if isinstance(error, EsvaeError):
        _fail(str(error), arguments)
        return 1
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        _fail("interrupted", arguments)
        return 128 + signal.SIGINT
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return _NOBODY_READS
    if isinstance(error, OSError):
        _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", [])
        _drop_output()
        return 1
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        hint = "" if context is None else f" See: {context.command_path} --help"
        message = _plain_words(error.format_message())
        _fail(message + "." * (bool(hint) and not message.endswith((".", "?"))) + hint, arguments)
        return 2
    raise error


#: What the parser says of a mistake, and the same without a programmer's words.
_WORDS = (
    (r"('.*') is not a valid int(?:eger)?(?: range)?", r"\1 is no whole number"),
    (r"('.*') is not a valid float(?: range)?", r"\1 is no number"),
    (r"(\S+) is not in the range x>=(\S+)", r"\1, expected at least \2"),
    (r"(\S+) is not in the range x<=(\S+)", r"\1, expected at most \2"),
    (r"(\S+) is not in the range (\S+?)<=x<=(\S+)", r"\1, expected \2 to \3"),
    (r"^Got unexpected extra argument\(?s?\)? \((.*)\)", r"Unexpected argument: \1"),
)


def _plain_words(message: str) -> str:
    for found, said in _WORDS:
        message = re.sub(found, said, message)
    return message


def _fail(message: str, arguments: list[str]) -> None:
    line = " ".join(message.split())
    if "--json" in arguments and sys.stdout is not None:
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
