"""``@lepton.run``: a Python function as a run. Its source goes along, its arguments and its result travel as JSON."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import json
import os
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from lepton.client.answers import Cell
from lepton.client.bundle import IGNORE_FILE, find_files
from lepton.client.runs import LogLine, OnProgress, Run
from lepton.client.sdk import Client, connect
from lepton.core.errors import InvalidInput

P = ParamSpec("P")
R = TypeVar("R")

CALLER, CALL = "lepton_call.py", "lepton_call.json"
RESULT = "returned.json"
CALLING = "LEPTON_CALLING"
"""Set in a run while it imports the function that it is to call."""

_CALLER_SOURCE = '''\
"""Calls one function, whose result is kept with the run. Written by lepton.run; standard library only."""

import importlib
import importlib.util
import json
import os
import sys

with open("lepton_call.json") as file:
    call = json.load(file)
os.environ["LEPTON_CALLING"] = "1"
if call["file"]:
    spec = importlib.util.spec_from_file_location(call["module"], call["file"])
    module = importlib.util.module_from_spec(spec)
    sys.modules[call["module"]] = module
    sys.path.insert(0, os.path.dirname(os.path.abspath(call["file"])))
    spec.loader.exec_module(module)
else:
    module = importlib.import_module(call["module"])
del os.environ["LEPTON_CALLING"]
function = getattr(module, call["name"])
result = getattr(function, "__wrapped__", function)(*call["args"], **call["kwargs"])
if os.environ.get("RANK", "0") == "0":
    try:
        text = json.dumps(result)
        same = json.loads(text) == (list(result) if isinstance(result, tuple) else result)
    except (TypeError, ValueError):
        same = False
    if not same:
        sys.exit(
            call["name"] + " returned a " + type(result).__name__ + ", which cannot be sent as JSON. Return numbers, "
            "text, true, false, None, or lists and dictionaries (with text as keys) of them; write files into the "
            "folder LEPTON_OUTPUTS."
        )
    with open(os.path.join(os.environ["LEPTON_OUTPUTS"], "returned.json"), "w") as file:
        file.write(text)
'''


@dataclass(frozen=True)
class FunctionRun(Generic[R]):
    """A call of a function, as a run.

    Attributes:
        id: Id of the run.
        client: The platform it runs on.
    """

    id: str
    client: Client = field(repr=False)

    def wait(self, *, on_progress: OnProgress | None = None) -> Run:
        """Return the run once it has succeeded; raises `RunFailed` if it has not."""
        return self.client.runs.wait(self.id, on_progress=on_progress)

    def logs(self) -> Iterator[LogLine]:
        """Iterate over what its workers write, to its end."""
        return self.client.runs.logs(self.id, follow=True)

    def cancel(self) -> Run:
        """Ask it to stop."""
        return self.client.runs.cancel(self.id)

    def result(self) -> R:
        """Wait for its end, and return what the function returned on rank 0.

        Raises:
            RunFailed: if it failed or was cancelled.
        """
        self.wait()
        found: R = json.loads(self.client.runs.get_artifact(self.id, RESULT))
        return found


def run(  # noqa: PLR0913 - what a command can have
    *,
    workers: int = 1,
    cpus: float = 1.0,
    memory: str | int = 0,
    gpus: int = 0,
    timeout_s: int = 0,
    hang_timeout_s: int = 0,
    environment: str | None = None,
    secrets: Mapping[str, str] | Sequence[str] = (),
    folder: str | Path | None = None,
    client: Client | None = None,
) -> Callable[[Callable[P, R]], Callable[P, FunctionRun[R]]]:
    """Make a function that, when it is called, runs on the platform's machines; it returns a `FunctionRun` at once.

    Arguments and the result are sent as JSON: numbers, text, true, false, None, and lists and dictionaries of them. A
    function of a script is imported from the script's folder, which goes along. Of a function of a notebook only its
    source does: it imports what it uses inside itself. Functions inside of functions, methods and lambdas cannot be
    sent.

    Args:
        workers: Processes that call it, each with the variables of torchrun; the result is that of rank 0.
        cpus: Processors of each.
        memory: The most that each may use, such as ``"2G"``.
        gpus: GPUs of each.
        timeout_s: How long it may take; 0 for as long as it likes.
        hang_timeout_s: After how long without a sign of work it is ended as hung; 0 for never.
        environment: ``requirements.txt``, ``uv.lock`` or ``pyproject.toml`` in the folder, which must name
            ``lepton-platform`` if the script imports `lepton`; None for the platform's own packages.
        secrets: Environment variables that no log shows, by name; names alone are taken from this process.
        folder: What goes along; None for the folder of the script or of the package.
        client: The platform; None connects as `lepton.connect` does, at the first call.

    Example:
        >>> import lepton
        >>> @lepton.run(workers=2)
        ... def add(a, b):
        ...     return a + b

        ``add(1, 2).result()`` is 3, computed on the platform.
    """
    options: dict[str, Any] = {
        "workers": workers, "cpus": cpus, "memory": memory, "gpus": gpus, "timeout_s": timeout_s,
        "hang_timeout_s": hang_timeout_s, "environment": environment, "secrets": secrets,
    }  # fmt: skip

    def decorate(function: Callable[P, R]) -> Callable[P, FunctionRun[R]]:
        @functools.wraps(function)
        def submit(*args: P.args, **kwargs: P.kwargs) -> FunctionRun[R]:
            if os.environ.get(CALLING):
                raise InvalidInput(
                    f"{function.__name__} is called while its module is being imported in the run itself. Put the "
                    "call behind: if __name__ == '__main__':"
                )
            inspect.signature(function).bind(*args, **kwargs)  # a wrong call is wrong here already
            arguments = _as_json(function, args, kwargs)
            platform = client or connect()
            with ExitStack() as made:
                source, home = _source(function, folder, made)
                call = json.dumps({**source, "name": function.__name__, **arguments}).encode()
                started = platform.runs.submit(
                    ["python", CALLER],
                    folder=home,
                    extra={CALLER: _CALLER_SOURCE.encode(), CALL: call},
                    name=function.__name__,
                    params=_shown(arguments),
                    **options,
                )
            return FunctionRun(started.id, platform)

        return submit

    return decorate


def _source(function: Callable[..., object], folder: str | Path | None, made: ExitStack) -> tuple[dict[str, str], Path]:
    """Return how the function is imported in the run, and the folder that goes along."""
    if function.__closure__ or "<" in function.__qualname__ or "." in function.__qualname__:
        raise InvalidInput(
            f"{function.__qualname__} cannot be sent: only a function that stands at the top of its module or notebook "
            "can, as one inside of a function or a class depends on what is around it."
        )
    file = inspect.getsourcefile(function)
    if file is None or not Path(file).is_file() or "ipykernel" in file:
        home = Path(made.enter_context(tempfile.TemporaryDirectory()))
        (home / "notebook.py").write_text(_alone(function))
        return {"module": "notebook", "file": "notebook.py"}, home
    path = Path(file).resolve()
    package = "" if function.__module__ == "__main__" else function.__module__
    depth = package.count(".") + (path.name == "__init__.py")
    home = Path(folder).resolve() if folder is not None else path.parents[depth]
    if not path.is_relative_to(home):
        raise InvalidInput(f"{function.__name__} is defined outside of the folder {home}, so it would not go along.")
    if path.relative_to(home).as_posix() not in {str(found.path) for found in find_files(home)}:
        raise InvalidInput(f"{path.name} does not go along, as an ignore file names it. See {IGNORE_FILE}.")
    if package and path.parents[depth] == home:
        return {"module": package, "file": ""}, home
    return {"module": path.stem, "file": path.relative_to(home).as_posix()}, home


def _alone(function: Callable[..., object]) -> str:
    """Return the source of a function of a notebook, without its decorators."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise InvalidInput(
            f"The source of {function.__name__} cannot be found, so it cannot be sent. Define it in a file or a cell."
        ) from None
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    free = sorted(_free_names(node) - set(dir(builtins)) - {function.__name__})
    if free:
        raise InvalidInput(
            f"{function.__name__} uses {', '.join(free)} from outside of itself, and only its own source is sent from "
            "a notebook. Import or define what it needs inside of it, or pass it as an argument."
        )
    node.decorator_list = []
    node.returns = None
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg):
        if argument is not None:
            argument.annotation = None
    return ast.unparse(node) + "\n"


def _free_names(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return the names that a function takes from outside: what its symbol table calls global, and its defaults."""
    import symtable

    bare = ast.FunctionDef(
        name=node.name, args=_plain(node.args), body=node.body, decorator_list=[], returns=None, lineno=1, col_offset=0
    )
    if sys.version_info >= (3, 12):
        bare.type_params = []
    top = symtable.symtable(ast.unparse(bare), "notebook", "exec")

    def of(table: symtable.SymbolTable) -> set[str]:
        own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
        return own.union(*(of(child) for child in table.get_children()))

    return of(top)


def _plain(args: ast.arguments) -> ast.arguments:
    for argument in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg):
        if argument is not None:
            argument.annotation = None
    return args


def _as_json(function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, Any]:
    """Return arguments as they arrive; refuse those that would not arrive as they are."""
    named = {**{f"argument {n + 1}": value for n, value in enumerate(args)}, **kwargs}
    for name, value in named.items():
        try:
            same = json.loads(json.dumps(value, allow_nan=False)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise InvalidInput(
                f"{name} of {function.__name__} is a {type(value).__name__} that cannot be sent as JSON. Send numbers, "
                "text, true, false, None, or lists and dictionaries (with text as keys) of them; send data as datasets "
                "or files."
            )
    return {"args": list(args), "kwargs": dict(kwargs)}


def _shown(arguments: Mapping[str, Any]) -> dict[str, Cell]:
    return {name: value for name, value in arguments["kwargs"].items() if isinstance(value, str | int | float | bool)}
