"""A function as a run: what arrives, what comes back, and what is refused before anything is sent."""

from __future__ import annotations

import linecache
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from platforms import embedded

import lepton
from lepton.client.functions import FunctionRun
from lepton.core.errors import InvalidInput, RunFailed


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lepton.Client]:
    with embedded(tmp_path_factory.mktemp("functions") / "home") as opened:
        yield opened


def cell(code: str, client: lepton.Client, name: str = "<ipython-input-1>") -> dict[str, Any]:
    """Define something as a notebook does: in ``__main__``, without a file, with a source that `inspect` finds."""
    linecache.cache[name] = (len(code), None, [line + "\n" for line in code.splitlines()], name)
    module = types.ModuleType("__main__")
    module.__dict__.update(lepton=lepton, client=client)
    exec(compile(code, name, "exec"), module.__dict__)
    return module.__dict__


def test_a_function_of_a_script_runs_on_two_workers_and_returns_what_rank_0_returned(
    client: lepton.Client, tmp_path: Path
) -> None:
    (tmp_path / "helping.py").write_text("FACTOR = 10\n")
    (tmp_path / "script.py").write_text("""
import os
import lepton
from helping import FACTOR

@lepton.run(workers=2, cpus=1)
def scale(numbers, *, by=1):
    print("rank", os.environ["RANK"], "of", os.environ["WORLD_SIZE"])
    return {"scaled": [n * by * FACTOR for n in numbers], "rank": os.environ["RANK"], "none": None}

if __name__ == "__main__":
    called = scale([1, 2.5], by=2)
    print(sorted(line.text for line in called.logs() if not line.text.startswith("[")))
    print(called.result(), called.wait().params, called.wait().workers)
""")
    token = str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "LEPTON_URL": client.url, "LEPTON_TOKEN": token},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "['rank 0 of 2', 'rank 1 of 2']",
        "{'scaled': [20, 50.0], 'rank': '0', 'none': None} "
        "{'command': 'python lepton_call.py', 'name': 'scale', 'by': 2} 2",
    ], done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        ["__pycache__", "helping.py", "script.py"], ["helping.py", "script.py"],
    )  # fmt: skip


def test_a_function_of_a_notebook_goes_along_by_its_source(client: lepton.Client) -> None:
    code = """
@lepton.run(client=client)
def mean(numbers: list[float], label: str = "m") -> dict:
    import statistics
    def inner(x):
        return x
    return {label: inner(statistics.fmean(numbers))}
"""
    called = cell(code, client)["mean"]([1, 2, 6])
    assert isinstance(called, FunctionRun)
    assert called.result() == {"m": 3}
    assert repr(called) == f"FunctionRun(id={called.id!r})"


def test_what_a_function_of_a_notebook_takes_from_outside_is_named(client: lepton.Client) -> None:
    code = """
import math
LIMIT = 3
@lepton.run(client=client)
def area(r):
    return [math.pi * r for _ in range(LIMIT)]
"""
    with pytest.raises(InvalidInput, match="area uses LIMIT, math from outside of itself"):
        cell(code, client)["area"](1)


@pytest.mark.parametrize("value", [object(), {1: "a"}, (1, 2), {1, 2}, b"x", float("nan"), lambda: 1])
def test_arguments_that_json_would_change_are_refused(client: lepton.Client, value: object) -> None:
    with pytest.raises(InvalidInput, match=r"argument 1 of .* cannot be sent as JSON"):
        cell("@lepton.run(client=client)\ndef same(x):\n    return x\n", client)["same"](value)


def test_a_result_that_is_not_json_fails_the_run_with_a_sentence(client: lepton.Client) -> None:
    called = cell("@lepton.run(client=client)\ndef make():\n    return {1, 2}\n", client)["make"]()
    with pytest.raises(RunFailed, match="exit code 1"):
        called.result()
    assert any("make returned a set, which cannot be sent as JSON" in line.text for line in called.logs())


def test_functions_that_depend_on_what_is_around_them_are_refused(client: lepton.Client) -> None:
    secret = 1

    class Model:
        def fit(self) -> int:
            return secret

    nested: Callable[..., Any] = lepton.run(client=client)(lambda: secret)
    with pytest.raises(InvalidInput, match="cannot be sent"):
        nested()
    with pytest.raises(InvalidInput, match="cannot be sent"):
        lepton.run(client=client)(Model.fit)(Model())


def test_a_wrong_call_is_wrong_before_anything_is_sent(client: lepton.Client) -> None:
    function = cell("@lepton.run(client=client)\ndef one(x):\n    return x\n", client)["one"]
    with pytest.raises(TypeError, match="missing a required argument"):
        function()


def test_a_script_that_calls_while_it_is_imported_is_told_and_does_not_start_runs_without_end(
    client: lepton.Client, tmp_path: Path
) -> None:
    (tmp_path / "careless.py").write_text("import lepton\n@lepton.run()\ndef f():\n    return 1\nprint(f().id)\n")
    token = str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")
    before = len(client.runs.list())
    done = subprocess.run(
        [sys.executable, "careless.py"], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "LEPTON_URL": client.url, "LEPTON_TOKEN": token},
    )  # fmt: skip
    with pytest.raises(RunFailed):
        client.runs.wait(done.stdout.strip())
    assert any("if __name__ ==" in line.text for line in client.runs.logs(done.stdout.strip()).lines)
    assert len(client.runs.list()) == before + 1
