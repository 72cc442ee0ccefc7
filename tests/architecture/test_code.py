"""The shape of the code: sizes, names, and what is never done."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lepton.core import errors

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "lepton"
LONGEST_MODULE, LONGEST_FUNCTION = 600, 80
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "handler", "handlers", "base"}
CODE_FROM_DATA = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}


@cache
def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(), str(path)) for path in sorted(SOURCE.rglob("*.py"))}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_no_module_is_too_long_to_read() -> None:
    long = {str(p.relative_to(ROOT)): n for p in modules() if (n := len(p.read_text().splitlines())) > LONGEST_MODULE}
    assert not long


def test_no_function_is_too_long_to_read() -> None:
    long = [
        f"{where(path, node)} {node.name}"
        for path, tree in modules().items()
        for node in functions(tree)
        if "migrations" not in path.parts  # history, written by a program
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert not long


def test_every_module_is_called_what_it_is() -> None:
    vague = [
        str(path.relative_to(ROOT)) for path in modules() if {path.stem, *path.relative_to(SOURCE).parts[:-1]} & VAGUE
    ]
    assert not vague


def test_every_module_says_what_lives_in_it() -> None:
    silent = [
        str(path.relative_to(ROOT)) for path, tree in modules().items() if tree.body and not ast.get_docstring(tree)
    ]
    assert not silent


def test_nothing_is_ever_unpickled() -> None:
    found = []
    for path, tree in modules().items():
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [f"{where(path, node)} {name}" for name in names if name.split(".")[0] in CODE_FROM_DATA]
    assert not found


def test_no_text_is_ever_run_as_code() -> None:
    found = []
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            dangerous = called in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
            dangerous |= called in {"yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all"}
            dangerous |= called.endswith((".read_pickle", ".to_pickle", "joblib.load"))
            dangerous |= called.endswith("torch.load") and not any(
                keyword.arg == "weights_only"
                and isinstance(keyword.value, ast.Constant)
                and keyword.value.value is True
                for keyword in node.keywords
            )
            dangerous |= any(
                keyword.arg in {"allow_pickle", "shell"}
                and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
                for keyword in node.keywords
            )
            if dangerous:
                found.append(f"{where(path, node)} {called}")
    assert not found


def test_the_tree_of_errors_lists_every_class_with_its_status_and_code() -> None:
    listed = dict(re.findall(r"── (\w+) +(\d{3} \w+)", inspect.getdoc(errors) or ""))
    classes = {
        name: f"{cls.status} {cls.code}"
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.LeptonError) and cls is not errors.LeptonError
    }
    assert listed == classes


def test_every_error_comes_back_from_its_wire_form_as_the_class_it_was() -> None:
    for cls in vars(errors).values():
        if isinstance(cls, type) and issubclass(cls, errors.LeptonError) and cls is not errors.LeptonError:
            rebuilt = errors.error_from_code(cls.code, "Why.")
            assert (type(rebuilt), rebuilt.message) == (cls, "Why.")


EDGES = {
    "server/edge.py",
    "worker.py",
    "cli/door.py",
    "endpoints/replica/app.py",
    "endpoints/replica/batcher.py",
    "endpoints/replica/jail.py",
    "endpoints/replica/upstream.py",
    "endpoints/replica/wire.py",
    "endpoints/replica/reading.py",
    "endpoints/replica/exchange.py",
    "endpoints/replica/worker.py",
    "runs/controller.py",
    "training/recipes/lightgbm_network.py",  # a call of C, which cannot pass an error on: it is raised after it
    "endpoints/controller.py",
    "endpoints/replica/grpc.py",
    "runs/context.py",
    "models/agreement.py",
    "training/auto/seat.py",
}
"""Requests, workers, the terminal, loops that must go on; and where all workers are told before it is raised again."""


def test_every_broad_except_is_at_an_edge_or_passes_the_error_on() -> None:
    found = []
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
            passes_on = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            if broad and not passes_on and path.relative_to(SOURCE).as_posix() not in EDGES:
                found.append(where(path, node))
    assert not found


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "HACK"])
def test_nothing_is_left_for_later(word: str) -> None:
    assert not [str(path.relative_to(ROOT)) for path in modules() if re.search(rf"\b{word}\b", path.read_text())]


SQL_OF_THE_GUARD = {"access/audit.py", "access/guard.py"}
"""The line that is part of every transaction is written in the one and run in the other."""


def test_sql_is_written_only_in_rows_and_in_the_store() -> None:
    """Building a statement (`select`, `insert`, `update`, `delete`, `text`) outside of its home is a leak."""
    found = []
    for path, tree in modules().items():
        home = path.relative_to(SOURCE)
        if home.stem == "rows" or home.stem.endswith("_rows"):
            continue
        if home.parts[0] == "store" or home.as_posix() in SQL_OF_THE_GUARD:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and re.fullmatch(
                r"(sa|sqlalchemy)\.(select|insert|update|delete|text|Table)|tx\.execute|connection\.execute",
                ast.unparse(node.func),
            ):
                found.append(f"{where(path, node)} {ast.unparse(node.func)}")
    assert not found
