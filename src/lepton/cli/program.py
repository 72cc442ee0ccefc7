"""All commands, and what happens around each: errors become one sentence and an exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence

import typer

from lepton.cli import access, datasets, endpoints, models, runs, server
from lepton.core.errors import LeptonError

_ABOUT = """
Lepton: from raw data to secured real-time predictions, on machines you own.

[dim]For example[/dim]

[cyan]lepton up[/cyan]

[cyan]lepton datasets import houses.csv[/cyan]

[cyan]lepton datasets clean houses --target price[/cyan]

[cyan]lepton models train houses --dataset houses --target price --workers 2[/cyan]

[cyan]lepton endpoints deploy houses --model houses[/cyan]

[cyan]lepton endpoints predict houses area=120 city=Paris[/cyan]
"""


app = typer.Typer(name="lepton", help=_ABOUT, no_args_is_help=True, rich_markup_mode="rich")
for nouns in (datasets, runs, models, endpoints, access):
    for group in nouns.GROUPS:
        app.add_typer(group)
server.add_to(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns:
        0 if it was done, 1 if it was refused or failed, 2 if it was not understood.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without blocks and ticks shows question marks
    try:
        code = app(list(arguments), prog_name="lepton", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except LeptonError as error:
        return _failed(error.message)
    except typer.TyperException as error:
        return _not_understood(error)
    except (typer.Abort, KeyboardInterrupt):
        return _failed("Interrupted.")
    except (Exception, SystemExit) as error:
        if (code := _unwritten(error)) is not None:
            return code
        if isinstance(error, SystemExit) or os.environ.get("LEPTON_DEBUG"):
            raise
        return _failed(
            f"Something unexpected happened ({type(error).__name__}). "
            "Set LEPTON_DEBUG=1 and repeat the command to see where."
        )


def _unwritten(error: BaseException) -> int | None:
    """Return the exit code if an error means that the output could not be written; None if it means something else."""
    # When a pipe breaks under Rich, it ends the program.
    broken = isinstance(error.__context__ if isinstance(error, SystemExit) else error, BrokenPipeError)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO)
    if not broken and not full:
        return None
    # Python would complain at its end that what is still buffered cannot be written.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if broken:  # the reader, such as head, has seen enough
        return 0
    return _failed("The output could not be written. Make room where it goes, or send it elsewhere.")


def _not_understood(error: typer.TyperException) -> int:
    message = error.format_message().strip().replace("\n", " ")
    context = getattr(error, "ctx", None)
    if message:  # it is empty when help was shown for want of arguments
        message += "" if message.endswith((".", "?")) else "."
        hint = f" See: {context.command_path} --help" if context is not None else ""
        _failed(message + hint)
    return error.exit_code


def _failed(message: str) -> int:
    from lepton.cli.screen import Screen

    Screen(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True, style="red")
    return 1


def main() -> None:
    """Run ``lepton`` with the arguments of this process and exit."""
    sys.exit(run(sys.argv[1:]))
