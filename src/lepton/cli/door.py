"""What every command has: a client, two consoles, ``--json`` and ``--project``; how a function becomes a command, and
how an error becomes one sentence and an exit code.

Only Typer is imported when the program starts; the client and Rich are imported when a command needs them.
"""

from __future__ import annotations

import errno
import inspect
import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Concatenate, ParamSpec

import typer

from lepton.core.errors import Conflict, LeptonError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from lepton.client import Client

P = ParamSpec("P")
Ref = Annotated[str, typer.Argument(help="NAME for the latest version, or NAME@VERSION.", metavar="REF")]
Detach = Annotated[bool, typer.Option("--detach", help="Return at once; the run goes on by itself.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

_SHARED = {
    "project": inspect.Parameter(
        "project",
        inspect.Parameter.KEYWORD_ONLY,
        default="default",
        annotation=Annotated[str, typer.Option(help="The project it is about.", metavar="NAME")],
    ),
    "json": inspect.Parameter(
        "json",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--json", help="Print the body of the REST answer.")],
    ),
}


class Door:
    """Between one command and the platform.

    Attributes:
        json: Whether the REST body is wanted instead of something to read.
        project: The project that every call is about.
    """

    def __init__(self, *, json: bool, project: str) -> None:
        self.json = json
        self.project = project

    @cached_property
    def client(self) -> Client:
        """The platform: ``LEPTON_URL`` and ``LEPTON_TOKEN``, or the one that ``lepton up`` started."""
        from lepton.client import connect

        return connect(project=self.project)

    @cached_property
    def out(self) -> Console:
        """Where results go."""
        from lepton.cli.screen import Screen

        # Where it is piped there is no screen to fit, and broken lines would be hard to search.
        return Screen(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)

    @cached_property
    def err(self) -> Console:
        """Where progress and questions go."""
        from lepton.cli.screen import Screen

        return Screen(stderr=True, highlight=False)

    def answer(self, body: bytes, *readable: RenderableType) -> None:
        """Print the REST body if that is wanted, or else something to read."""
        if self.json:
            self.print_body(body)
            return
        for part in readable:
            if isinstance(part, str):  # names and paths are no markup
                self.say(part)
            else:
                self.out.print(part)

    def print_body(self, body: bytes) -> None:
        """Print a REST body as it came."""
        sys.stdout.write(body.decode() + "\n")

    def say(self, text: str) -> None:
        """Print one plain line, unless the REST body is wanted."""
        if not self.json:
            self.out.print(text, markup=False, soft_wrap=True)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something that cannot be undone.

        Raises:
            Conflict: if the answer is no, or there is nobody to ask.
        """
        if yes:
            return
        if not sys.stdin.isatty():
            raise Conflict("Nothing was deleted: there is nobody to ask for confirmation here. Add --yes to delete.")
        if not typer.confirm(question, err=True):
            raise Conflict("Nothing was deleted.")


def group(name: str, about: str) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(name=name, help=about, no_args_is_help=True)


def verb(
    app: typer.Typer, *examples: str, name: str | None = None, takes: Sequence[str] = ("project", "json")
) -> Callable[[Callable[Concatenate[Door, P], None]], Callable[Concatenate[Door, P], None]]:
    """Make a command of a function whose first parameter is the door.

    Args:
        app: The group it belongs to.
        examples: Command lines to show in its help.
        name: What it is called, if not like the function.
        takes: The shared options it has.
    """

    def decorate(function: Callable[Concatenate[Door, P], None]) -> Callable[Concatenate[Door, P], None]:
        shared = [_SHARED[option] for option in takes]

        def command(*, json: bool = False, project: str = "default", **arguments: object) -> None:
            door = Door(json=json, project=project)
            try:
                function(door, **arguments)  # type: ignore[call-arg, arg-type]
            finally:
                if "client" in vars(door):
                    door.client.close()

        own = [*inspect.signature(function, eval_str=True).parameters.values()][1:]
        command.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
        command.__doc__ = function.__doc__
        epilog = "\n\n".join(["[dim]For example[/dim]", *(f"[cyan]{line}[/cyan]" for line in examples)])
        app.command(name or function.__name__.strip("_"), epilog=epilog if examples else None)(command)
        return function

    return decorate


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run one command of a program.

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


def main(app: typer.Typer) -> None:
    """Run the program with the arguments of this process and exit."""
    sys.exit(run(app, sys.argv[1:]))
